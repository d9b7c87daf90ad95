// Sends a file by tus-js-client, or goes on with what an earlier process has sent of it, and prints the upload's address.
//
// node tus_client.cjs ENDPOINT TOKEN FILE [BYTES after which it ends]

const fs = require("node:fs");
const tus = require("tus-js-client");

const [endpoint, token, path, most] = process.argv.slice(2);
const upload = new tus.Upload(fs.createReadStream(path), {
  endpoint,
  headers: { Authorization: `Token ${token}` },
  metadata: { filename: "ward.zip", study_name: "ward 4" },
  chunkSize: 4 * 2 ** 20,
  urlStorage: new tus.FileUrlStorage(`${path}.json`),
  onChunkComplete(_, accepted) {
    if (accepted < Number(most ?? Infinity)) return;
    console.log(upload.url);
    process.exit();
  },
  onSuccess() {
    console.log(upload.url);
  },
  onError(error) {
    console.error(String(error));
    process.exit(1);
  },
});
upload.findPreviousUploads().then(([before]) => {
  if (before) upload.resumeFromPreviousUpload(before);
  upload.start();
});
