CREATE TABLE "scratch"."half_done" ("id" serial PRIMARY KEY);
