/** Paths and process names come from outside: nothing in them may move the cursor or break a line. */
export function printable(text: string): string {
  return text.replace(/\p{Cc}/gu, "\ufffd");
}
