// Pictures: SVGs of their own, small, with no font, script or picture from elsewhere, the same for the same results. Written
// by hand, as all it takes is rectangles, lines and text: a library for charts brings a browser's DOM, or megabytes.

/** Readable beside each other for all kinds of eyes, on white as on black (Okabe and Ito's). */
const palette = ['#999999', '#0072b2', '#e69f00', '#009e73', '#cc79a7', '#56b4e9', '#d55e00']

const style = `
    svg { font: 12px system-ui, sans-serif }
    text { fill: #1f2328 }
    .faint { fill: #59636e }
    .grid { stroke: #d1d9e0 }
    .spread, .one { stroke: #1f2328 }
    .one { stroke-dasharray: 4 3 }
    @media (prefers-color-scheme: dark) {
      text { fill: #f0f6fc }
      .faint { fill: #9198a1 }
      .grid { stroke: #3d444d }
      .spread, .one { stroke: #f0f6fc }
    }`

const legend = { top: 44, line: 18 }

export interface Head {
  readonly title: string
  readonly subtitle: string
  /** Those whose colours are told. */
  readonly subjects: readonly string[]
}

export interface Size {
  readonly width: number
  readonly height: number
}

export function picture(
  { title, subtitle, subjects }: Head,
  { width, height }: Size,
  left: number,
  drawn: string[],
): string {
  const lines = [
    text(left, 20, title, 'font-weight="600" font-size="14"'),
    text(left, 36, subtitle, 'class="faint"'),
    ...subjects.flatMap((subject, place) => {
      const line = legend.top + place * legend.line
      return [rect(left, line, 12, 12, place), text(left + 18, line + 10, subject)]
    }),
    ...drawn,
  ]
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img">
  <title>${escaped(title)}</title>
  <style>${style}
  </style>
${lines.map((line) => `  ${line}\n`).join('')}</svg>
`
}

/** Where there is room below the head. */
export function below({ subjects }: Head): number {
  return legend.top + subjects.length * legend.line + 20
}

/** How many there are: those after them have the first ones' again. */
export const colours: number = palette.length

export function colourOf(subject: number): string | undefined {
  return palette[subject % palette.length]
}

export function rect(x: number, y: number, width: number, height: number, subject: number): string {
  return `<rect x="${x}" y="${y}" width="${width}" height="${height}" fill="${colourOf(subject)}"/>`
}

export function rule(name: string, from: number, y: number, to: number): string {
  return `<path class="${name}" d="M${from} ${y}H${to}"/>`
}

export function text(x: number, y: number, content: string, attributes = ''): string {
  return `<text x="${x}" y="${round(y)}"${attributes && ` ${attributes}`}>${escaped(content)}</text>`
}

/** Of some five lines: 1, 2 or 5, times a power of ten. */
export function stepFor(highest: number): number {
  const power = 10 ** Math.floor(Math.log10(highest / 5))
  return [1, 2, 5, 10].map((times) => times * power).find((step) => highest / step <= 5) ?? 10 * power
}

export function round(value: number): number {
  return Math.round(value * 100) / 100
}

function escaped(content: string): string {
  return content.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')
}
