/** What bytes are. */
export interface SniffedType {
  type: string
  /** What they may be as well, for all that can be seen: a claim to be one of these is believed. */
  alternatives?: readonly string[]
}
