/** An object by its storage's name and its key. */
export interface ObjectRef {
  storage: string
  key: string
}

/** The same text for the same object: what sets and maps of objects go by. */
export function refId({ storage, key }: ObjectRef): string {
  return `${storage}\u0000${key}`
}
