// Reads an AsyncAPI document as its users do, and prints what is wrong with it.
import asyncapi from '@asyncapi/parser'

const answer = await fetch(process.argv[2])
const { document, diagnostics } = await new asyncapi.Parser().parse(await answer.text())
for (const { severity, code, message, path } of diagnostics) {
  console.log(`${severity === 0 ? 'error' : 'note'}: ${code}: ${message} (${path.join('/')})`)
}
const errors = diagnostics.filter(({ severity }) => severity === 0).length
console.log(`AsyncAPI: ${document?.allOperations().length ?? 0} operations, ${errors} errors`)
process.exit(document && errors === 0 ? 0 : 1)
