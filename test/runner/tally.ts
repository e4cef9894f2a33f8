/** Counts what passed and failed, and says so while it happens. */

/** Everything a run of all tests has found. */
export class Tally {
  #passed = 0;
  readonly #failures: string[] = [];
  readonly #skipped: string[] = [];
  readonly #write: (line: string) => void;

  /** @param write prints one line */
  constructor(write: (line: string) => void) {
    this.#write = write;
  }

  get passed(): number {
    return this.#passed;
  }

  get failed(): number {
    return this.#failures.length;
  }

  /** A new group of tests begins. */
  group(name: string): void {
    this.#write(`\n${name}`);
  }

  /** Something worth knowing while one waits. */
  say(text: string): void {
    this.#write(`  ${text}`);
  }

  pass(count = 1): void {
    this.#passed += count;
  }

  /** @param name of the test @param why in as many lines as it takes */
  fail(name: string, why: string): void {
    this.#failures.push(name);
    this.#write(`  FAIL ${name}`);
    for (const line of why.split("\n")) this.#write(`       ${line}`);
  }

  /** A test that did not run is no success: without a reason it is a failure, with one it is said at the end. */
  skip(name: string, reason: string): void {
    if (reason === "") return this.fail(name, "skipped without a reason");
    this.#skipped.push(`${name}: ${reason}`);
    this.#write(`  SKIPPED ${name}: ${reason}`);
  }

  /** Prints what must not be overlooked, then the last line: exactly `N passed, N failed`. @returns the exit code */
  finish(): number {
    this.#write("");
    for (const skipped of this.#skipped) this.#write(`SKIPPED ${skipped}`);
    for (const name of this.#failures) this.#write(`FAILED  ${name}`);
    this.#write(`${this.passed} passed, ${this.failed} failed`);
    return this.failed === 0 && this.passed > 0 ? 0 : 1;
  }
}
