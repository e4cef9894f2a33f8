/** What has to be given back, last first; also when the way there fails half way. */
export class Resources implements AsyncDisposable {
  #held: (Disposable | AsyncDisposable)[] = [];

  /** @returns what it was given, which is disposed of together with this */
  use<T extends Disposable | AsyncDisposable>(resource: T): T {
    this.#held.push(resource);
    return resource;
  }

  /** Hands everything over to another owner. */
  move(): Resources {
    const other = new Resources();
    other.#held = this.#held;
    this.#held = [];
    return other;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const resource of this.#held.splice(0).reverse()) {
      if (Symbol.asyncDispose in resource) await resource[Symbol.asyncDispose]();
      else resource[Symbol.dispose]();
    }
  }
}
