// What the text of a statement tells about it without being parsed.

import { evidentlyReads } from './reads.js'

const aboutRows = /^\s*(?:select|insert|update|delete|with|values|merge)\b[^;]*$/i

const readsRows = /^\s*(?:select|values)\b[^;]*$/i
const changesRows = /^\s*(?:insert|update|delete|merge)\b/i

/** Surely a single statement that reads or changes rows: it commits at its end and not before. */
export function isAboutRows(text: string): boolean {
  return aboutRows.test(text)
}

/** Surely a single statement that answers with rows. */
export function isRead(text: string): boolean {
  return readsRows.test(text)
}

/**
 * Whether nothing is left of one that was rolled back, as far as its text tells: a function that a SELECT calls may do what no
 * rollback undoes, as ask another server. Those that statements which change rows call are taken to be about these rows.
 */
export function leavesNothing(text: string): boolean {
  return changesRows.test(text) || evidentlyReads(text)
}
