import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net'

/** A proxy in front of a database that can lose the answer to a statement. */
export class DatabaseProxy {
  /** The URL of the database through the proxy. */
  readonly url: string
  readonly #server: Server
  readonly #sockets: Set<Socket>
  readonly #fault: { statement: string | undefined }

  private constructor(
    url: string,
    server: Server,
    sockets: Set<Socket>,
    fault: { statement: string | undefined },
  ) {
    this.url = url
    this.#server = server
    this.#sockets = sockets
    this.#fault = fault
  }

  static async start(databaseUrl: string): Promise<DatabaseProxy> {
    const url = new URL(databaseUrl)
    const { hostname, port } = url
    const sockets = new Set<Socket>()
    const fault: { statement: string | undefined } = { statement: undefined }
    const server = createServer((client) => {
      const database = connect(Number(port), hostname)
      const end = () => {
        client.destroy()
        database.destroy()
      }
      let isAnswerLost = false
      client.on('data', (chunk) => {
        isAnswerLost ||= fault.statement !== undefined && chunk.includes(fault.statement)
        database.write(chunk)
      })
      database.on('data', (chunk) => (isAnswerLost ? end() : client.write(chunk)))
      for (const socket of [client, database]) {
        sockets.add(socket)
        socket.on('error', end)
        socket.on('close', () => {
          sockets.delete(socket)
          end()
        })
      }
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    url.port = String((server.address() as AddressInfo).port)
    return new DatabaseProxy(url.href, server, sockets, fault)
  }

  /** From now on the database does what that statement says, and the connection is gone before anybody hears of it. */
  loseAnswersTo(statement: string): void {
    this.#fault.statement = statement
  }

  async stop(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy()
    await new Promise((resolve) => this.#server.close(resolve))
  }
}
