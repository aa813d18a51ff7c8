// Reads an OpenRPC document as its users do, and prints what is wrong with it.
import utils from '@open-rpc/schema-utils-js'

const document = await (await fetch(process.argv[2])).json()
const judged = utils.validateOpenRPCDocument(document)
if (judged !== true) {
  console.log(judged.message)
  process.exit(1)
}
const { methods } = await utils.parseOpenRPCDocument(document)
console.log(`OpenRPC: ${methods.length} methods, 0 errors`)
