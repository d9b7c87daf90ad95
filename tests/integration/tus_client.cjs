// Uploads a file with tus-js-client, or resumes the upload of an earlier process, and prints the upload's URL.
//
// node tus_client.cjs ENDPOINT TOKEN FILE [BYTES after which the process ends]

const fs = require("node:fs");
const tus = require("tus-js-client");

const [endpoint, token, path, stopAfter] = process.argv.slice(2);
const upload = new tus.Upload(fs.createReadStream(path), {
  endpoint,
  headers: { Authorization: `Token ${token}` },
  metadata: { filename: "ward.zip", study_name: "ward 4" },
  chunkSize: 4 * 2 ** 20,
  urlStorage: new tus.FileUrlStorage(`${path}.json`),
  onChunkComplete(_, accepted) {
    if (accepted < Number(stopAfter ?? Infinity)) return;
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
upload.findPreviousUploads().then(([previous]) => {
  if (previous) upload.resumeFromPreviousUpload(previous);
  upload.start();
});
