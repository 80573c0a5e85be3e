/** Every bound of the sandbox in one place, with its reason. */
import type { SandboxLimits } from './driver.ts'

/** Uids of one root server; slot 0 is the probe's. */
export const slotsMax = 1000
/**
 * Where servers of a host choose their uids: nobody gives these out, as systemd's table of all of them
 * has it (systemd.io/UIDS-GIDS: 1879048192 to 2147483647). So many that two data directories do not
 * meet by chance: a server that is down does not hold its range.
 */
export const wideUids = { base: 1_880_000_000, ranges: 200_000 }
/** The same where a user namespace, as that of a container, has 65536 uids: below those of systemd. */
export const narrowUids = { base: 20_000, ranges: 40 }
/** Ranges that one server tries, and so about how many can run on one host. */
export const uidRangesMax = 40
/** The slot of what sessions share: mirrors of repositories and package managers' caches. */
export const sharedSlot = slotsMax - 1

/** `sun_path` holds 108 bytes with its final NUL. */
export const socketPathBytesMax = 107

/** What a session may take of its host where nothing says otherwise. */
export const defaultLimits: SandboxLimits = {
  // claude takes 200 MB at its peak; the rest is for compilers and test runs.
  memoryBytes: 2 * 1024 ** 3,
  cpus: 1,
  // A fork bomb ends here, a parallel test run does not.
  processes: 512,
  // Of one process; node and git stay far below.
  openFiles: 4096,
  // A runaway log ends by SIGXFSZ before it fills the disk.
  fileBytes: 4 * 1024 ** 3,
  // A large package that pip builds, a checkpoint of many new files.
  tmpBytes: 1024 ** 3,
  // A large clone with its packages and caches.
  diskBytes: 5 * 1024 ** 3,
}

/** A file system in memory, /dev/shm: browsers and Python's multiprocessing need some. */
export const memoryFilesBytesMax = 64 * 1024 ** 2

/** The bridge inside listens here; nothing else can, the network namespace is the command's own. */
export const bridgePort = 3128
/** Connections that the forwarder of the `none` driver serves at once. */
export const forwarderConnectionsMax = 256

/** SIGKILL takes milliseconds; a process that outlives this is stuck in the kernel. */
export const killMs = 5000
/** A session that does nothing has no launch waiting after this; the next command takes longer again. */
export const launchWaitMsMax = 30_000
/** How long a killed launch may still take to say which process it started. */
export const startReportMs = 1000
/** How long pipes may stay open once the process is gone: only a stray of `none` holds them. */
export const drainMs = 2000
/** Removing a large tree (node_modules of many gigabytes) takes a minute or two. */
export const removeMs = 600_000
/** The self-test takes 0.1 s; a loaded machine many times that. */
export const probeMs = 20_000
/** A package manager answers a question about its configuration in 0.3 s. */
export const askMs = 10_000
/** Output of a tool we ask a question. */
export const answerBytesMax = 64 * 1024
