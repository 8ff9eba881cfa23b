// Whether a statement evidently writes nothing, by its text alone. A wrong "no" costs the server a look that it need not
// have had; a wrong "yes" would let a transaction that has written pass for one that has not. So only what is simple is
// taken for a read: one statement that begins with a word for reading, without comments, that calls nothing but functions
// of the server's own which are known to do no harm.
//
// What no text shows stays hidden: a view, a row's "attribute" or an operator that calls a function which writes.

import { LONG, remembered } from './remembered.js'

const reading = /^\s*(?:select|values|table|show|explain)\b/i
/** They move within the transaction, and write nothing. */
const moving =
  /^\s*(?:savepoint|release|rollback\s+(?:work\s+|transaction\s+)?to|set|lock|listen|unlisten)\b[^;]*;?\s*$/i
/** Another statement behind it, a comment that could hide something, SELECT INTO, EXPLAIN ANALYZE. */
const doubtful = /;\s*[^;\s]|--|\/\*|\binto\b|\banaly[sz]e\b/i
/** What stands in front of a parenthesis. A quoted name, or the end of one with escapes, is not looked into. */
const called = /(\.\s*)?([\w$\u0080-\uffff]+|["'])\s*\(/g

/** Not among them: the server's functions that an application may well have one of its own named like (`log`, `format`). */
const harmless = new Set(
  `
  explain select distinct on from where and or not in any some all exists between like ilike similar to is as by having union
  intersect except values case when then else end over filter within partition order limit offset fetch using join
  lateral array row only with escape sets cube rollup grouping
  numeric decimal varchar char character varying bpchar bit float time timestamp timestamptz interval cast
  count sum avg min max every bool_and bool_or bit_and bit_or string_agg array_agg stddev variance percentile_cont
  percentile_disc row_number dense_rank percent_rank cume_dist ntile lag lead first_value last_value nth_value
  json_agg jsonb_agg json_object_agg jsonb_object_agg json_build_object jsonb_build_object json_build_array
  jsonb_build_array json_object jsonb_object to_json to_jsonb row_to_json json_typeof jsonb_typeof json_array_length
  jsonb_array_length json_array_elements jsonb_array_elements json_array_elements_text jsonb_array_elements_text json_each
  jsonb_each json_each_text jsonb_each_text json_extract_path jsonb_extract_path json_extract_path_text
  jsonb_extract_path_text jsonb_set jsonb_strip_nulls
  coalesce nullif greatest least now clock_timestamp statement_timestamp transaction_timestamp date_trunc date_part
  to_char to_date to_timestamp to_number make_interval make_date
  lower upper initcap length char_length character_length octet_length substring substr trim btrim ltrim rtrim
  concat concat_ws split_part strpos overlay reverse lpad rpad md5
  chr ascii starts_with regexp_replace regexp_match regexp_matches regexp_split_to_array
  abs ceil ceiling floor round trunc power sqrt mod sign exp ln random gen_random_uuid
  array_length cardinality unnest array_position array_to_string string_to_array array_remove array_append array_cat
  generate_series generate_subscripts
  to_tsvector to_tsquery plainto_tsquery phraseto_tsquery websearch_to_tsquery ts_rank ts_rank_cd ts_headline
  hashtext hashtextextended pg_advisory_xact_lock pg_advisory_xact_lock_shared pg_try_advisory_xact_lock
  current_setting set_config current_database current_schema pg_backend_pid pg_sleep pg_typeof
  `
    .trim()
    .split(/\s+/),
)

function harmlessThroughout(text: string): boolean {
  if (doubtful.test(text)) return false
  for (const [, qualified, name = ''] of text.matchAll(called)) {
    if (qualified !== undefined || !harmless.has(name.toLowerCase())) return false
  }
  return true
}

const knownHarmless = remembered(harmlessThroughout)

/** Whether the statement surely writes nothing: looked at once for each of the texts that come again and again. */
export function evidentlyReads(text: string): boolean {
  // A closer look could cost more than it saves.
  if (text.length > LONG) return false
  return reading.test(text) ? knownHarmless(text) : moving.test(text)
}
