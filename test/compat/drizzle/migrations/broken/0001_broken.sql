ALTER TABLE "scratch"."half_done" ADD COLUMN "x" no_such_type;
