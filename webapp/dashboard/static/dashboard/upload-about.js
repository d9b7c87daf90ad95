// What the form says of the files that are chosen.

const age = document.getElementById("age");
const patient = document.getElementById("patient");
const studyName = document.getElementById("study-name");
const manifest = document.getElementById("manifest");
const withoutPatients = document.getElementById("without-patients");
const department = document.getElementById("department"); // only present if the user may upload to a department

// Whether the age is empty or a number; otherwise one is led to it.
export function ageIsRight() {
  if (!age.checkValidity()) age.focus();
  return age.checkValidity();
}

// An empty department says that it is for oneself; other fields that are empty say nothing.
export function bodyWith(fields) {
  const body = new FormData();
  for (const [name, value] of Object.entries(fields)) if (value || name === "department") body.append(name, value);
  return body;
}

// What the form says of the files that were just chosen. Patient, name and manifest are not kept for the next ones.
export function takeDescription() {
  const fields = { age: age.value, patient: patient.value, ...(department && { department: department.value }) };
  const about = { fields, name: studyName.value, manifest: manifest.files[0], withoutPatients: withoutPatients.checked };
  for (const field of [patient, studyName, manifest]) field.value = "";
  return about;
}

// The age stays for the next image, until the tab is closed.
try {
  age.value ||= window.sessionStorage.getItem("age") ?? "";
  age.addEventListener("input", () => window.sessionStorage.setItem("age", age.value));
} catch {
  // The browser keeps nothing: then it is asked for again.
}
