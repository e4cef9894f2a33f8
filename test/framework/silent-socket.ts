import { createServer, type Server, type Socket } from "node:net";
import { join } from "node:path";
import { TemporaryFolder } from "./temporary-folder.js";

/** A Unix socket whose owner says one thing, or nothing, and then never answers. */
export class SilentSocket implements AsyncDisposable {
  readonly path: string;
  readonly #folder: TemporaryFolder;
  readonly #server: Server;
  readonly #clients: Set<Socket> = new Set();

  private constructor(folder: TemporaryFolder, greeting: string) {
    this.#folder = folder;
    this.path = join(folder.path, "socket");
    this.#server = createServer((client) => {
      this.#clients.add(client);
      client.on("error", () => {});
      if (greeting !== "") client.write(greeting);
    });
  }

  /** @param greeting what every client is told at once */
  static async listen(greeting = ""): Promise<SilentSocket> {
    const socket = new SilentSocket(new TemporaryFolder(), greeting);
    await new Promise<void>((resolve, reject) => {
      socket.#server.once("error", reject);
      socket.#server.listen(socket.path, resolve);
    });
    return socket;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const client of this.#clients) client.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
    this.#folder[Symbol.dispose]();
  }
}
