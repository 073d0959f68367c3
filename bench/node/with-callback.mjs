// A peer that calls back with each message. It is given its link, an object with
//
//   onmessage         called with each message
//   send(message)     false when the sender should wait
//   drained()         a promise of when it need not wait any longer

export class WithCallback {
  #link
  // What arrives while nobody is asking; only when the ends take turns.
  #early = []

  constructor(link) {
    this.#link = link
    this.#receive(undefined)
  }

  #receive(onmessage) {
    this.#link.onmessage = onmessage ?? ((message) => this.#early.push(message))
    while (this.#link.onmessage === onmessage && this.#early.length > 0)
      onmessage(this.#early.shift())
  }

  async send(message) {
    this.#link.send(message)
  }

  recv() {
    return new Promise((resolve) => {
      this.#receive((message) => {
        this.#receive(undefined)
        resolve(message)
      })
    })
  }

  async sendAll(payload, count) {
    const link = this.#link
    for (let i = 0; i < count; i++)
      if (!link.send(payload)) await link.drained()
  }

  recvAll(tally) {
    return new Promise((resolve) => {
      this.#receive((message) => {
        if (!tally.add(message)) return
        this.#receive(undefined)
        resolve()
      })
    })
  }

  pingPong(payload, times) {
    const link = this.#link
    return new Promise((resolve) => {
      let i = 0
      let start = performance.now()
      this.#receive(() => {
        const now = performance.now()
        times[i] = (now - start) * 1000
        if (++i === times.length) {
          this.#receive(undefined)
          resolve()
          return
        }
        start = performance.now()
        link.send(payload)
      })
      link.send(payload)
    })
  }

  echo(count) {
    const link = this.#link
    return new Promise((resolve) => {
      let left = count
      this.#receive((message) => {
        link.send(message)
        if (--left > 0) return
        this.#receive(undefined)
        resolve()
      })
    })
  }
}
