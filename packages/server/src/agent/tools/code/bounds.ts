/** Bytes of a file that is outlined or edited: twice the largest source that people write by hand. */
export const fileBytesMax = 2 * 1024 * 1024
/** Milliseconds of one request to the parser, with its start: 2 MiB take about two seconds. */
export const parseMsMax = 15_000
/** Declarations, decorators and blocks within each other. */
export const depthMax = 200
/** Bytes of the parser's own memory: its trees are made there, 2 MiB of dense code take 150 MB. */
export const treeBytesMax = 256 * 1024 * 1024
/** Megabytes of the thread's JavaScript heap. */
export const heapMegabytesMax = 192
/** Megabytes of its stack: the default. What nests is bounded by `depthMax`. */
export const stackMegabytes = 4
/** Symbols of one file that are listed. */
export const symbolsMax = 10_000
/** Occurrences of a name that is renamed. */
export const occurrencesMax = 2000
/** Requests that wait for the parser. */
export const waitingMax = 16
/** Milliseconds without a request after which the thread is ended. */
export const idleMs = 60_000

/** What is asked cannot be done with this text; the sentence goes to the agent. */
export class CodeRefused extends Error {}
