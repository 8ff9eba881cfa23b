CREATE TABLE "numbers" (
	"id" serial PRIMARY KEY NOT NULL,
	"small" smallint,
	"whole" integer,
	"big_number" bigint,
	"big" bigint,
	"exact" numeric,
	"exact_number" numeric,
	"exact_bigint" numeric,
	"scaled" numeric(12, 4),
	"single" real,
	"double" double precision,
	"auto_small" smallserial NOT NULL,
	"auto_big" bigserial NOT NULL
);
--> statement-breakpoint
CREATE TABLE "words" (
	"id" serial PRIMARY KEY NOT NULL,
	"plain" text,
	"short" varchar(20),
	"padded" char(5),
	"flag" boolean,
	"key" uuid,
	"bytes" bytea,
	"mood" "mood",
	"choice" text
);
--> statement-breakpoint
CREATE TABLE "moments" (
	"id" serial PRIMARY KEY NOT NULL,
	"day_text" date,
	"day" date,
	"hour" time,
	"hour_precise" time(3),
	"hour_zoned" time with time zone,
	"local_text" timestamp,
	"local" timestamp,
	"local_precise" timestamp(3),
	"zoned_text" timestamp with time zone,
	"zoned" timestamp with time zone,
	"zoned_whole" timestamp(0) with time zone,
	"span" interval,
	"span_days" interval day to second(3)
);
--> statement-breakpoint
CREATE TABLE "documents" (
	"id" serial PRIMARY KEY NOT NULL,
	"loose" json,
	"strict" jsonb
);
--> statement-breakpoint
CREATE TABLE "places" (
	"id" serial PRIMARY KEY NOT NULL,
	"address" inet,
	"network" cidr,
	"card" macaddr,
	"card8" macaddr8,
	"spot" point,
	"spot_xy" point,
	"edge" line,
	"edge_abc" line,
	"span" int4range,
	"period" tstzrange
);
--> statement-breakpoint
CREATE TABLE "lists" (
	"id" serial PRIMARY KEY NOT NULL,
	"ints" integer[],
	"bigs" bigint[],
	"texts" text[],
	"shorts" varchar(20)[],
	"exacts" numeric[],
	"doubles" double precision[],
	"flags" boolean[],
	"keys" uuid[],
	"moods" "mood"[],
	"jsons" jsonb[],
	"days" date[],
	"locals" timestamp[],
	"zoned" timestamp with time zone[],
	"zoned_texts" timestamp with time zone[],
	"matrix" integer[][],
	"word_matrix" text[][]
);
