/**
 * Makes a case that fails smaller as long as it still fails.
 *
 * @param run resolves with what is wrong, or undefined
 * @returns the cases to keep, and what to say of them
 */
export async function smallest(given, run) {
  if ((await run(given)) === undefined) return [[given], 'alone it does not fail, perhaps beside others:']
  let best = given
  const deadline = Date.now() + 60_000
  for (let isSmaller = true; isSmaller && Date.now() < deadline; ) {
    isSmaller = false
    for (const candidate of smaller(best)) {
      if (Date.now() > deadline || (await run(candidate)) === undefined) continue
      best = candidate
      isSmaller = true
      break
    }
  }
  const { flaw } = await run(best)
  return [[best], `the smallest that was found: ${flaw}`]
}

/** The same case with one thing less. */
function* smaller(given) {
  const { form, mutations, splits } = given
  const without = (list, index) => list.filter((_, place) => place !== index)
  for (const index of form.parts.keys())
    yield { ...given, form: { ...form, parts: without(form.parts, index) } }
  for (const index of mutations.keys()) yield { ...given, mutations: without(mutations, index) }
  if (splits.length > 1) yield { ...given, splits: [] }
  for (const index of splits.keys()) yield { ...given, splits: without(splits, index) }
  for (const [index, part] of form.parts.entries()) {
    const { content } = part
    const less =
      content.text === undefined
        ? content.size > 0 && { ...content, size: Math.floor(content.size / 2) }
        : content.text !== '' && { ...content, text: content.text.slice(0, content.text.length / 2) }
    if (less) yield { ...given, form: { ...form, parts: form.parts.with(index, { ...part, content: less }) } }
  }
  if (given.pauseMs > 0) yield { ...given, pauseMs: 0 }
  if (form.preamble !== '' && form.refusal === undefined) yield { ...given, form: { ...form, preamble: '' } }
}
