// Durations in bounded memory: how many, and how long they took at the median and at the tail.
//
// Log-linear buckets as in HdrHistogram (https://hdrhistogram.github.io/HdrHistogram/): each doubling of the value is cut
// into sixteen equal buckets, so a bucket is never wider than a sixteenth of what is in it, and its middle never more
// than a thirty-second (3.1 %) away. Below 1 µs the buckets stay 1/16 µs wide: the error there is 31 ns at most.

/** Milliseconds, over the last one to two minutes; `count` and `sumMs` are totals since the start. */
export interface Percentiles {
  readonly count: number
  readonly sumMs: number
  readonly p50: number
  readonly p95: number
  readonly p99: number
  readonly max: number
}

const subBits = 4
const subBuckets = 1 << subBits

/** Values are counted in sixteenths of a microsecond, so that the sixteen buckets of a doubling are whole from 1 µs on. */
const unitsPerMs = 1_000 * subBuckets
const longestBits = 44
/** 12.7 days. What is longer counts as this. */
const longestMs = (2 ** longestBits - 1) / unitsPerMs
const buckets = (longestBits - subBits + 1) * subBuckets
/** Where an interval keeps its longest, after its buckets. */
const longest = buckets

/** One interval's durations. */
interface Interval {
  /**
   * How many in each bucket, and the longest. Doubles count exactly to 2^53: unlike 32 bits they do not wrap, however
   * long nobody rotates. The longest is in here since V8 allocates at every change of a property that is no small integer.
   */
  readonly numbers: Float64Array
  /** Apart from the buckets, so that a caller that did not wait costs an increment and no look into an array. */
  zeros: number
}

/**
 * Durations, without keeping each of them: some 10 kB, whatever is recorded. A percentile is the nearest rank's, within
 * 3.1 % of the exact one, and never above `max`, which is exact. What is negative or NaN counts as 0.
 *
 * @example
 * const waits = new Histogram()
 * waits.record(clock.now() - queuedAt)
 * waits.snapshot().p99
 */
export class Histogram {
  #current: Interval = interval()
  #previous: Interval = interval()
  /** How many were in the intervals that were forgotten. */
  #forgotten = 0
  /** One number: in an array so that changing it allocates nothing. */
  readonly #sumMs = new Float64Array(1)

  /** Allocates nothing and asks no clock. */
  record(ms: number): void {
    const took = ms > 0 ? Math.min(ms, longestMs) : 0 // NaN is not above 0 either
    const { numbers } = this.#current
    const bucket = bucketOf(took * unitsPerMs)
    numbers[bucket] = (numbers[bucket] ?? 0) + 1
    if (took > (numbers[longest] ?? 0)) numbers[longest] = took
    this.#sumMs[0] = (this.#sumMs[0] ?? 0) + took
  }

  /** The same as `record(0)`, for a caller that did not wait at all. */
  recordZero(): void {
    this.#current.zeros++
  }

  /** To be called about once a minute: what is older than the previous rotation leaves the percentiles. */
  rotate(): void {
    const oldest = this.#previous
    this.#forgotten += countOf(oldest)
    oldest.numbers.fill(0)
    oldest.zeros = 0
    this.#previous = this.#current
    this.#current = oldest
  }

  /** Over the current and the previous interval; percentiles are 0 when nothing was recorded in them. */
  snapshot(): Percentiles {
    const recent = countOf(this.#current) + countOf(this.#previous)
    const max = Math.max(this.#current.numbers[longest] ?? 0, this.#previous.numbers[longest] ?? 0)
    const [p50 = 0, p95 = 0, p99 = 0] = this.#atRanks(
      [50, 95, 99].map((percent) => Math.ceil((recent * percent) / 100)),
    )
    return {
      count: this.#forgotten + recent,
      sumMs: this.#sumMs[0] ?? 0,
      // A bucket's middle may lie above everything that is in it.
      p50: Math.min(p50, max),
      p95: Math.min(p95, max),
      p99: Math.min(p99, max),
      max,
    }
  }

  /** What stands at these places in the order of size, counted from 1. Ascending, and no more than there are values. */
  #atRanks(ranks: readonly number[]): number[] {
    const found: number[] = []
    let seen = this.#current.zeros + this.#previous.zeros
    for (let bucket = 0; bucket < buckets && found.length < ranks.length; bucket++) {
      seen += (this.#current.numbers[bucket] ?? 0) + (this.#previous.numbers[bucket] ?? 0)
      while ((ranks[found.length] ?? Number.POSITIVE_INFINITY) <= seen) found.push(middleOf(bucket))
    }
    return found
  }
}

function interval(): Interval {
  return { numbers: new Float64Array(buckets + 1), zeros: 0 }
}

function countOf({ numbers, zeros }: Interval): number {
  let count = zeros
  for (let bucket = 0; bucket < buckets; bucket++) count += numbers[bucket] ?? 0
  return count
}

function bucketOf(units: number): number {
  // Math.clz32 sees 32 bits. What is longer (134 s) loses sixteen of its lowest, which are below its bucket's width.
  return units < 2 ** 31 ? bucketOfInteger(units | 0) : bucketOfInteger((units / 2 ** 16) | 0) + 16 * subBuckets
}

/** The top five bits say which sixteenth, and how far they were shifted says which doubling. */
function bucketOfInteger(units: number): number {
  const shift = 31 - subBits - Math.clz32(units | subBuckets)
  return shift * subBuckets + (units >>> shift)
}

/** In milliseconds; 0 for the lowest bucket, where those are that took no time. */
function middleOf(bucket: number): number {
  if (bucket === 0) return 0
  const shift = Math.max(0, (bucket >>> subBits) - 1)
  const lowest = bucket - shift * subBuckets
  return ((lowest + 0.5) * 2 ** shift) / unitsPerMs
}
