/* SPDX-License-Identifier: Apache-2.0 */
/* Reference vectors on their way into a file: described first, with room for the results, then run
 * on that file, then put in their place. */
#ifndef SQZI_REFERENCES_H
#define SQZI_REFERENCES_H

#include "rewrite/rewrite.h"

/* Metadata and tensors as they are now. */
void sqzi_references_put(const sqzi_references *references, sqzi_gguf_writer *writer);

/* Find the results of the file at `path` with the portable kernels. SQZ_EFORMAT where the model has
 * other sizes; sqz_model_open's errors, SQZ_ENOMEM. */
SQZ_NODISCARD sqz_status sqzi_references_run(sqzi_references *references, const char *path,
                                             sqz_error *error);

/* The results over what sqzi_references_put left in the file. */
SQZ_NODISCARD sqz_status sqzi_references_complete(const sqzi_references *references,
                                                  sqzi_file_writer *file, sqz_error *error);

#endif
