ALTER TABLE "scratch"."boats" ADD COLUMN "berth" integer;
--> statement-breakpoint
UPDATE "scratch"."boats" SET "berth" = "id" * 10;
