CREATE TABLE "scratch"."boats" ("id" serial PRIMARY KEY, "name" text NOT NULL);
--> statement-breakpoint
INSERT INTO "scratch"."boats" ("name") VALUES ('Nina'), ('Pinta');
