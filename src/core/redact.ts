const secrets: [pattern: RegExp, replacement: string][] = [
  // The query of a presigned URL, of Signature Version 4, 2 and CloudFront, and the same as headers.
  [/\b(X-Amz-(?:Signature|Credential|Security-Token)["']?\s*[=:]\s*["']?)[^\s&"'<>,;]+/gi, '$1***'],
  [/\b((?:Credential|Signature|AWSAccessKeyId|Key-Pair-Id|Policy)=)[^\s&"'<>,;]+/gi, '$1***'],
  [
    /\b(Authorization["']?\s*[=:]\s*["']?)(?:(?:AWS4-HMAC-SHA256|AWS|Bearer|Basic)\s+)?[^\s"'<>,;]+/gi,
    '$1***',
  ],
  // AWS names the access keys of users and of sessions so.
  [/\b(?:AKIA|ASIA)[A-Z0-9]+/g, '***'],
  [/(\b[a-z][a-z0-9+.-]*:\/\/)[^\s/?#@]+@/gi, '$1***@'],
]

/** A text from elsewhere, a store's answer for instance, without the credentials and signatures that it may quote. */
export function redact(text: string): string {
  return secrets.reduce((redacted, [pattern, replacement]) => redacted.replace(pattern, replacement), text)
}
