CREATE SCHEMA "audit";
--> statement-breakpoint
CREATE TABLE "audit"."events" (
	"id" integer PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
	"kind" text NOT NULL,
	"kind_length" integer GENERATED ALWAYS AS (length("kind")) STORED,
	"payload" jsonb DEFAULT '{}'::jsonb NOT NULL
);
--> statement-breakpoint
CREATE TABLE "accounts" (
	"id" serial PRIMARY KEY NOT NULL,
	"owner" text NOT NULL,
	"balance" numeric(12, 2) DEFAULT '0' NOT NULL,
	CONSTRAINT "accounts_owner_unique" UNIQUE("owner") DEFERRABLE INITIALLY DEFERRED
);
--> statement-breakpoint
CREATE TABLE "transfers" (
	"id" serial PRIMARY KEY NOT NULL,
	"account_id" integer NOT NULL,
	"amount" numeric(12, 2) NOT NULL,
	CONSTRAINT "transfers_account_id_accounts_id_fk" FOREIGN KEY ("account_id") REFERENCES "accounts"("id") DEFERRABLE INITIALLY DEFERRED
);
--> statement-breakpoint
CREATE TABLE "bookings" (
	"id" serial PRIMARY KEY NOT NULL,
	"room" text NOT NULL,
	"during" tstzrange NOT NULL,
	CONSTRAINT "bookings_during_excl" EXCLUDE USING gist ("during" WITH &&)
);
--> statement-breakpoint
CREATE TABLE "contacts" (
	"id" serial PRIMARY KEY NOT NULL,
	"first_name" text NOT NULL,
	"last_name" text NOT NULL,
	"home_town" text,
	CONSTRAINT "contacts_full_name" UNIQUE("first_name","last_name")
);
--> statement-breakpoint
CREATE TABLE "camelContacts" (
	"id" serial PRIMARY KEY NOT NULL,
	"firstName" text NOT NULL,
	"lastName" text NOT NULL
);
--> statement-breakpoint
CREATE FUNCTION "raise_custom"("code" text, "message" text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	RAISE EXCEPTION USING ERRCODE = "code", MESSAGE = "message", DETAIL = 'raised on purpose', HINT = 'expect it',
		TABLE = 'imaginary', COLUMN = 'col', CONSTRAINT = 'rule', SCHEMA = 'nowhere';
END
$$;
--> statement-breakpoint
CREATE FUNCTION "tell"("message" text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	RAISE NOTICE '%', "message";
	RETURN "message";
END
$$;
