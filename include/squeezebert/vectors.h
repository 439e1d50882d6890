/* SPDX-License-Identifier: Apache-2.0 */
/* Vectors: inputs and results that another program computed, compared with this model's. In
 * libsqueezebert-full. */
#ifndef SQUEEZEBERT_VECTORS_H
#define SQUEEZEBERT_VECTORS_H

#include <squeezebert/model.h>

#ifdef __cplusplus
extern "C" {
#endif

/* One sequence of a file. Errors are largest absolute differences; a NaN on either side makes them
 * infinite, which never agrees; -1 where the file has no such result. */
typedef struct sqz_vector_report {
    uint32_t sequence, n_tokens;
    double hidden_error, logits_error;
    int agrees; /* neither is over the tolerance */
} sqz_vector_report;

/* Zero-initialise, or pass NULL, for the defaults.
 *
 *   tolerance             largest difference that agrees; 0: 2^-14 of the largest finite number in
 *                         the file's results, or of 1 where that is larger: 1024 roundings of f32
 *                         (derived in doc/format.md); for a model stored in f16, bf16 or int8 and
 *                         results of its f32 source, give a larger one
 *   report(user, report)  called for each sequence, in order
 */
typedef struct sqz_vectors_options {
    double tolerance;
    void (*report)(void *user, const sqz_vector_report *report);
    void *user;
    uint64_t reserved[4];
} sqz_vectors_options;

/* Run the sequences of a .npz file and compare the results with those it holds.
 *
 *   path     a zip file as numpy's savez and savez_compressed write it, with these arrays and no
 *            others:
 *            ids      [N] integers: the tokens of all sequences, one sequence behind the other
 *            lengths  [B] integers, sum N; absent: one sequence
 *            types    [N] integers; absent: 0
 *            hidden   [N, C] floats: the encoder's last hidden states
 *            logits   [B, K] floats for a head that reads whole sequences, [N, K] for one that
 *                     reads tokens (a masked LM: K is the vocabulary)
 *            hidden or logits or both; integers u1, i4, u4, i8 and floats f4, f8, little endian, in
 *                C order
 *   result   largest error of all, the tolerance that was used, the number of sequences
 *            (sqz_model_verify)
 *
 * Every sequence runs alone, with the context's kernels. Memory: the arrays, and a session for the
 * longest sequence.
 * SQZ_ENUMERIC: a sequence does not agree (result is filled in). SQZ_EIO: no such file.
 * SQZ_EFORMAT: damaged, an array is missing, of another type or shape than the model's, or unknown.
 * SQZ_ETOKEN: an id or type is out of range. SQZ_EUNSUPPORTED: big endian, Fortran order, another
 * number type, another compression. SQZ_ELIMIT: the arrays unpack to more than 16 times the file
 * and 32 MiB. SQZ_EINVAL: the tolerance is negative or NaN. SQZ_ENOMEM.
 */
SQZ_API SQZ_NODISCARD sqz_status sqz_vectors_compare(const sqz_model *model, const char *path,
                                                     const sqz_vectors_options *options,
                                                     sqz_verification *result, sqz_error *error);

#ifdef __cplusplus
}
#endif

#endif
