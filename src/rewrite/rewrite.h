/* SPDX-License-Identifier: Apache-2.0 */
/* Writing a model file: what every step that makes one does alike, whether it makes it of a folder
 * or of another model file. The step puts what is its own into a writer; the rest is done here.
 *
 *     sqzi_gguf_writer_open(allocator, &writer, error)
 *     sqzi_rewrite_metadata(writer, from, &step, error)       from another file: all of its own
 *     sqzi_gguf_put_tensor(writer, ...)                       as many as there are
 *     sqzi_references_copy(&references, from, error)          or _invent, or none
 *     sqzi_rewrite_write(writer, &references, path, error)
 *     sqzi_references_discard(&references)
 *     sqzi_gguf_writer_close(writer)
 *
 * The file is written once, under a temporary name that is unique to process and call: reference
 * vectors are run on it there and put into it, then its checksums, then it gets its name. So any
 * number of processes may write to one name, and the last one's file stays; one that is killed
 * leaves the old file.
 */
#ifndef SQZI_REWRITE_H
#define SQZI_REWRITE_H

#include "model/loader.h"

/* ---- metadata ---- */

/* Numbers that are found by running the new file on `count` texts: f64 metadata, 0 until the file
 * is written under its temporary name, then what `measure` leaves in `values` when it is given that
 * path. */
typedef struct sqzi_measured {
    const char *count_key; /* u32; NULL: no metadata, n = 0, `measure` is called all the same */
    uint32_t count;
    const char *const *keys; /* [n] */
    double *values;          /* [n] */
    uint32_t n;
    sqz_status (*measure)(void *user, const char *path, sqz_error *error);
    void *user;
} sqzi_measured;

/* What made the new file of the old one. */
typedef struct sqzi_step {
    const char *history; /* its line of sqz.history: the verb and what changes the result */
    const char *suffix;  /* "-s8": what general.name ends with from now on */
    const char *feature; /* "s8": what a reader must know from now on (sqz.requires), or NULL */
    const sqzi_measured *measured; /* or NULL; sqzi_references.measured must be the same */
} sqzi_step;

/* Put the metadata of `from` as they stand, but
 *
 *   general.name   + suffix, unless it ends with it; absent or empty it stays
 *   sqz.history    + history
 *   sqz.requires   + feature, unless it is there
 *   checksums, reference vectors, general.alignment   the writer's own
 *   sqz.squeeze.fidelity.*   left out, but for what step->measured names: of another file
 *   general.file_type   left out: of another type
 *
 * SQZ_ELIMIT: more history or features than a file may have. SQZ_ENOMEM. */
SQZ_NODISCARD sqz_status sqzi_rewrite_metadata(sqzi_gguf_writer *writer, const sqz_model *from,
                                               const sqzi_step *step, sqz_error *error);

/* The same without the keys for which leaves_out says so: the step has put its own in their place,
 * or will. Where it leaves out sqz.requires, step->feature is not looked at. */
typedef bool sqzi_rewrite_leaves_out(const void *user, sqzi_span key);
SQZ_NODISCARD sqz_status sqzi_rewrite_metadata_but(sqzi_gguf_writer *writer, const sqz_model *from,
                                                   const sqzi_step *step,
                                                   sqzi_rewrite_leaves_out *leaves_out,
                                                   const void *user, sqz_error *error);

/* What was found with a model's logits, and is not true of others: temperature and threshold. */
bool sqzi_is_of_scores(sqzi_span key);

/* Its tensors as they are, with its head's or without; no reference vectors. The model stays open
 * until they are written. */
void sqzi_put_tensors_of(const sqz_model *from, bool with_head, sqzi_gguf_writer *writer);

/* ---- reference vectors (doc/format.md "Provenance and proof") ---- */

/* One sequence and what a model makes of it. */
typedef struct sqzi_reference_vector {
    uint32_t length, rows;  /* rows of logits: 0 for none */
    int32_t *ids, *types;   /* [length] */
    float *hidden, *logits; /* [length, width], [rows, classes]: of the file that is written */
    /* of the model that it is made of */
    float *source_hidden, *source_logits;
} sqzi_reference_vector;

typedef struct sqzi_references {
    const sqz_allocator *allocator;
    sqzi_reference_vector *vectors;
    uint32_t n, width, classes;
    double source_tolerance; /* of the file that they were copied from, else 0 */
    /* there are results of the source, and the tolerance takes in what this step changes of them */
    bool compared;
    const sqzi_measured *measured; /* what else is found by running the file, or NULL */
    void *block;
    size_t bytes;
} sqzi_references;

/* Three sequences of 1, half and all of 24 tokens, or of what the model takes, always the same.
 * info: width, vocabulary, max_positions, n_token_types, head and n_labels. Nothing is compared.
 * Discard in any case. SQZ_ENOMEM. */
SQZ_NODISCARD sqz_status sqzi_references_invent(sqzi_references *references,
                                                const sqz_allocator *allocator,
                                                const sqz_model_info *info, sqz_error *error);

/* Those that a model file carries, n = 0 where there are none: inputs, and results as the source's.
 * Discard in any case. SQZ_EFORMAT, SQZ_ELIMIT, SQZ_ENOMEM. */
SQZ_NODISCARD sqz_status sqzi_references_copy(sqzi_references *references, const sqz_model *from,
                                              sqz_error *error);
void sqzi_references_discard(sqzi_references *references);

/* Write what is in `writer` beside `path` under a temporary name, run it with the portable kernels,
 * and remove it: its results become the source's. For a step that makes a file of no other, and
 * yet changes numbers. Errors as sqzi_rewrite_write. */
SQZ_NODISCARD sqz_status sqzi_references_compare_with(sqzi_references *references,
                                                      sqzi_gguf_writer *writer, const char *path,
                                                      sqz_error *error);

/* ---- the file ---- */

/* Write what is in `writer`, which is used up, with reference vectors and checksums.
 *
 * The tolerance of the vectors is that of f32 arithmetic (sqzi_reference_f32_tolerance), at least
 * the source's, whose roundings are still there, and where results are compared at least twice the
 * largest difference to the source's. Where another level's softmax, norm or GELU differs in a last
 * bit, a rounding of activations may go the other way; a step of int8 is a hundredth, so a few
 * layers on, the two runs are as far from each other as two independent roundings of the same
 * model: each about as far from the source's results as the portable kernels are, so by the
 * triangle's inequality twice that.
 *
 * Cost: the file is written once and read twice: to run the vectors and for its checksums. Memory:
 * the file opened as a model. What references->measured costs comes to it.
 * SQZ_EOUTPUT, SQZ_ERESOURCE: it cannot be written (squeezebert/output.h). Else what emitting a
 * tensor or sqz_model_open says; texts name `path`. On any error there is no new file, and what was
 * at `path` stays. */
SQZ_NODISCARD sqz_status sqzi_rewrite_write(sqzi_gguf_writer *writer, sqzi_references *references,
                                            const char *path, sqz_error *error);

/* Bytes of the file that this writer would write with these vectors; the writer is used up as by
 * sqzi_rewrite_write. SQZ_ENOMEM. */
SQZ_NODISCARD sqz_status sqzi_rewrite_bytes(sqzi_gguf_writer *writer,
                                            const sqzi_references *references, uint64_t *bytes,
                                            sqz_error *error);

#endif
