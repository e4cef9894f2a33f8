/** The other of two threads that note the same pages: see fill-progress.test.ts. */

import { workerData } from "node:worker_threads";
import { noteAll } from "../note-all.js";

noteAll(workerData, 1);
