// Sends forms that are odd, broken, cut and split at random to a real server in front of a real S3, and looks whether each
// becomes a correct file or a typed error, and whether anything is left behind.
import { randomInt } from 'node:crypto'
import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { Random } from '../crash/random.mjs'
import { Campaign } from './campaign.mjs'
import { everyCut, everySplit, largeCase, randomCase, stalledCase } from './case.mjs'
import { smallest } from './smallest.mjs'

/** Cases of a round: between rounds the site and the store must be as empty as at first. */
const casesPerRound = 500

const { seed, seconds, replay } = readArguments()
let startedAt
const campaign = await Campaign.start()
let bodies = 0
try {
  if (replay === undefined) await fuzz()
  else await runReplay(replay)
} finally {
  await campaign.stop()
}

function readArguments() {
  const { values } = parseArgs({
    options: {
      seed: { type: 'string', default: String(randomInt(2 ** 31)) },
      seconds: { type: 'string', default: '300' },
      replay: { type: 'string' },
    },
  })
  const [seed, seconds] = [Number(values.seed), Number(values.seconds)]
  if (!(Number.isInteger(seed) && seconds > 0)) {
    throw new Error('usage: npm run fuzz -- [--seed NUMBER] [--seconds 300] | --replay FILE')
  }
  return { seed, seconds, replay: values.replay }
}

async function fuzz() {
  console.log(`fuzz: seed ${seed}, ${seconds} s, ${campaign.description}`)
  const failed = await campaign.warmUp(Array.from({ length: 24 }, largeCase))
  if (failed !== undefined) return fail(0, [largeCase()], failed)
  startedAt = Date.now()
  for (let round = 1; elapsed() < seconds; round++) {
    const cases = casesOf(round)
    const failure = await campaign.run(cases)
    bodies += cases.length
    if (failure !== undefined) return fail(round, cases, failure)
    if (round % 5 === 0) await tell(round)
  }
  const speed = rate()
  const flaw = await campaign.memoryFlaw()
  if (flaw !== undefined) return fail(undefined, [], { flaw })
  const { files, refused } = campaign.totals
  console.log(`fine: ${bodies} bodies, ${speed} a second; ${files} files stored and read back, refused:`)
  for (const [code, count] of Object.entries(refused).sort()) console.log(`  ${code}: ${count}`)
}

/** A round depends on the seed and its number alone. */
function casesOf(round) {
  const random = new Random(seed + round)
  const kind = round % 4
  if (kind === 1) return everyCut(random)
  if (kind === 2) return everySplit(random)
  return [
    ...Array.from({ length: round % 8 === 3 ? 2 : 0 }, () => stalledCase(random)),
    ...Array.from({ length: casesPerRound }, () => randomCase(random)),
  ]
}

async function fail(round, cases, failure) {
  console.error(`\nFAILED: seed ${seed}, round ${round ?? 'end'}: ${failure.flaw}`)
  process.exitCode = 1
  if (cases.length === 0) return
  const [kept, why] =
    failure.given === undefined
      ? [cases, 'the whole round, since nothing says which case it was']
      : await smallest(failure.given, (given) => campaign.run([given]))
  const file = join(mkdtempSync(join(tmpdir(), 'fuzz-')), 'case.json')
  writeFileSync(file, JSON.stringify(kept, null, 1))
  console.error(`${why}\nagain: npm run fuzz -- --replay ${file}\nor:    npm run fuzz -- --seed ${seed}`)
}

async function runReplay(file) {
  const cases = JSON.parse(readFileSync(file, 'utf8'))
  const failure = await campaign.run(cases)
  if (failure === undefined) console.log(`fine: ${cases.length} cases`)
  else console.error(`FAILED: ${failure.flaw}\n${JSON.stringify(failure.given)?.slice(0, 2000)}`)
  if (failure !== undefined) process.exitCode = 1
}

async function tell(round) {
  const memory = await campaign.memory()
  console.log(`round ${round}, ${Math.round(elapsed())} s: ${bodies} bodies, ${rate()} a second; ${memory}`)
}

function elapsed() {
  return (Date.now() - startedAt) / 1000
}

function rate() {
  return Math.round(bodies / elapsed())
}
