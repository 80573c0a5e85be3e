import { z } from 'zod'

const gap = z
  .object({
    what: z.string().describe('What this host cannot do.'),
    consequence: z.string().describe('What follows from it.'),
    fix: z.string().describe('How to mend it, exactly.'),
  })
  .meta({ id: 'Gap' })
/** Something that a host cannot do: what, what follows from it, and how to mend it. */
export type Gap = z.infer<typeof gap>

const isolates = z
  .object({
    files_hidden: z.boolean().describe('Files of the host are not there.'),
    root_sealed: z.boolean().describe('Outside the session’s own directories nothing is written.'),
    processes_hidden: z.boolean().describe('Processes of the host are not seen.'),
    network_absent: z.boolean().describe('There is no network but the way to the gateway.'),
    namespaces_separate: z.boolean().describe('User, mount, IPC, host name and control group.'),
    settings_read_only: z.boolean().describe('System settings in /proc/sys are not written.'),
    privileges_refused: z.boolean().describe('There is no capability, and none can be gained.'),
    user_namespaces_refused: z.boolean().describe('None is made inside.'),
    system_calls_filtered: z.boolean().describe('Calls that no build needs are refused.'),
    uid_separate: z.boolean().describe('What runs inside has another uid than the server.'),
  })
  .describe('What was seen to hold in a real sandbox; false: it did not, or none was built.')
export type Isolation = z.infer<typeof isolates>

const limits = z
  .object({
    memory: z.enum(['cgroup2', 'cgroup1', 'rlimit', 'none']),
    cpu: z.enum(['cgroup2', 'cgroup1', 'none']),
    processes: z.enum(['cgroup2', 'cgroup1', 'rlimit', 'none']),
    disk: z
      .enum(['image', 'counted', 'unknown'])
      .describe('`image`: a file system for each session; `unknown`: no sandbox was built.'),
  })
  .describe('What holds each limit; `rlimit`: limits of single processes, and a watchdog.')

const tool = z.object({
  name: z.string(),
  version: z.string().nullable().describe('Null: it is not there, or does not run inside.'),
})
export type SandboxTool = z.infer<typeof tool>

/** What isolates and what limits agents on a host: `longhaul doctor --json`, and in `/health`. */
export const sandboxReport = z
  .object({
    ok: z.boolean().describe('Whether agents may run here.'),
    problem: z.string().nullable().describe('Why not, with the fix.'),
    driver: z.enum(['bubblewrap', 'none']),
    isolates,
    limits,
    tools: z.array(tool).describe('Those that were asked for their version.'),
    gaps: z.array(gap).describe('What is weaker than it could be.'),
    not_run: z
      .array(z.string())
      .describe('What Longhaul has for other hosts, and was not run on this one.'),
  })
  .meta({ id: 'SandboxReport' })
export type SandboxReport = z.infer<typeof sandboxReport>
