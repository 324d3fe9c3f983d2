// The other side of child.mjs: a forked process that answers questions until its parent lets go of it.
process.on('disconnect', () => process.exit())

/**
 * @param commands functions by name; what they return, or resolve with, is the answer.
 * @param ready what the parent gets when this process has started.
 */
export function answer(commands, ready = {}) {
  process.on('message', async ({ id, command, argument }) => {
    try {
      process.send({ id, value: await commands[command](argument) })
    } catch (error) {
      if (process.connected) process.send({ id, error: error.stack ?? String(error) })
    }
  })
  process.send({ id: 0, value: ready })
}
