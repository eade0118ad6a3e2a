"""What is refused at the door, before anything is created. PURE.

One set of judgements for all who ask: `kubernaut lint` on a file, the webhook on a request, the controller before
it lets a run in. All faults at once, each with its JSON path, in plain words and with a mend; never a value of the
user's, which may be a secret. Belongs here: what can be said from the documents, the catalogue and the verdicts
handed in. Does not belong here: looking anything up, compiling CEL (`safety`), and what happens to a run that was
let in (`planning`).
"""

from kubernaut.admission.alone import check_action
from kubernaut.admission.catalogue import check_contract, check_definition
from kubernaut.admission.check import check
from kubernaut.admission.door import Door
from kubernaut.admission.pins import images_to_read, pinned_actions, spec_hash
from kubernaut.admission.structure import Document, faults_of_structure, read_document

__all__ = [
    "Document",
    "Door",
    "check",
    "check_action",
    "check_contract",
    "check_definition",
    "faults_of_structure",
    "images_to_read",
    "pinned_actions",
    "read_document",
    "spec_hash",
]
