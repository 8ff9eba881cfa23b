// Where in a request something is, as problem details say it: a JSON pointer (RFC 6901), as a URI fragment.

/** A step of a path as Standard Schema has it: Valibot's are objects. */
export type PathStep = PropertyKey | { readonly key: PropertyKey }

/** `#/address/zip`; of no step `#`, the whole. */
export function pointerTo(path: readonly PathStep[]): string {
  const steps = path.map((step) => {
    // Half a pair of surrogates, as a client may have sent for a key, is nothing that a URI could hold.
    const key = String(typeof step === 'object' ? step.key : step).replace(/\p{Surrogate}/gu, '\ufffd')
    return `/${encodeURIComponent(key.replaceAll('~', '~0').replaceAll('/', '~1'))}`
  })
  return `#${steps.join('')}`
}
