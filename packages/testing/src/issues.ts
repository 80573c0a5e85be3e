/** An issue. Issues and pull requests share their numbers, as on GitHub. */
export interface Issue {
  readonly number: number
  readonly title: string
  readonly body: string
  readonly author: string
  readonly labels: readonly string[]
  readonly state: 'open' | 'closed'
  /** Nobody may comment any more. */
  readonly locked: boolean
}

/** What somebody wrote below an issue or a pull request. */
export interface Comment {
  readonly id: number
  readonly number: number
  readonly author: string
  readonly body: string
  /** Of a review: the line of the change that it is about. */
  readonly at?: { readonly path: string; readonly line: number }
}

/** A review of a pull request as a whole. */
export interface Review {
  readonly id: number
  readonly number: number
  readonly author: string
  readonly state: 'APPROVED' | 'CHANGES_REQUESTED' | 'COMMENTED'
  readonly body: string
}

/** What a CI system says about a commit: as a check run, or as a commit status. */
export interface CheckRun {
  readonly kind: 'check' | 'status'
  readonly sha: string
  readonly name: string
  /** Null: it has not ended. */
  readonly conclusion: 'success' | 'failure' | null
  readonly summary: string
}

/** What people and CI systems say in a repository of the fake GitHub; tests speak for them. */
export class Issues {
  readonly issues: Issue[] = []
  readonly comments: Comment[] = []
  readonly reviews: Review[] = []
  readonly checks: CheckRun[] = []
  readonly #nextNumber: () => number
  #ids = 0

  /** `nextNumber`: the next one of issues and pull requests. */
  constructor(nextNumber: () => number) {
    this.#nextNumber = nextNumber
  }

  open(o: Pick<Issue, 'title'> & Partial<Issue>): Issue {
    const fields = { body: '', author: 'somebody', labels: [], locked: false, ...o }
    const issue = { state: 'open' as const, ...fields, number: this.#nextNumber() }
    this.issues.push(issue)
    return issue
  }

  comment(o: Omit<Comment, 'id'>): Comment {
    this.#ids += 1
    const comment = { ...o, id: this.#ids }
    this.comments.push(comment)
    return comment
  }

  review(o: Omit<Review, 'id'>): void {
    this.#ids += 1
    this.reviews.push({ ...o, id: this.#ids })
  }

  /** The last word of one name about one commit counts. */
  check(o: CheckRun): void {
    const old = this.checks.findIndex(({ sha, name }) => sha === o.sha && name === o.name)
    if (old >= 0) this.checks.splice(old, 1)
    this.checks.push(o)
  }
}
