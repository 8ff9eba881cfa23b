CREATE VIEW "published_posts" AS (select "id", "author_id", "title", "score" from "posts" where "published");
--> statement-breakpoint
CREATE MATERIALIZED VIEW "post_counts" AS (select "author_id", count(*)::int as "posts", max("score") as "best" from "posts" group by "author_id");
--> statement-breakpoint
CREATE UNIQUE INDEX "post_counts_author" ON "post_counts" ("author_id");
