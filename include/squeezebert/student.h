/* SPDX-License-Identifier: Apache-2.0 */
/* Students: float model files to be taught (squeezebert/distil.h), made of what their teacher has
 * and of random numbers. In libsqueezebert-full. */
#ifndef SQUEEZEBERT_STUDENT_H
#define SQUEEZEBERT_STUDENT_H

#include <squeezebert/squeeze.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Where the numbers of a tensor came from.
 *
 *   TEACHER   they are the teacher's
 *   LEVERS    a lever made them of the teacher's
 *   RANDOM    normal, deviation 0.02
 *   NEW       ones of a norm's weight, zeros of a bias, where what stands beside them is random
 */
typedef enum sqz_origin {
    SQZ_ORIGIN_TEACHER,
    SQZ_ORIGIN_LEVERS,
    SQZ_ORIGIN_RANDOM,
    SQZ_ORIGIN_NEW
} sqz_origin;

/* "teacher", "levers", "random", "new"; NULL for what is none. Static storage. */
SQZ_API const char *sqz_origin_name(sqz_origin origin);

/* A tensor of the student.
 *
 *   name     in its file; valid during the call
 *   block    the teacher's block that it came from; -1: from none
 *   shape    [n_dims], slowest first
 */
typedef struct sqz_student_tensor {
    const char *name;
    sqz_origin origin;
    int32_t block;
    uint32_t n_dims;
    uint64_t shape[2];
} sqz_student_tensor;

/* Zero-initialise; all 0 is a copy of the teacher in f32.
 *
 *   levers    as of sqz_squeeze, those that leave floats: layers, vocabulary, heads, neurons,
 *             groups, rank, ranks, an embedding of another width, and what they ask of texts. No
 *             bits, budget, time or product quantisation: those come after training
 *   random    parts that are not taken from the teacher, by commas: "embedding" (tables and norm),
 *             "attention", "feed_forward" (four and two linears of each block, and the norm behind
 *             them), "blocks" (both), "all". NULL: none. They have the teacher's sizes, or:
 *   width     [the teacher's] of hidden states. Another one: all is random, and what stands behind
 *             the blocks leaves: embeddings are pooled as before, by the mean where it was a pooler
 *   heads, neurons   [the teacher's] of each block. Of random parts any number, heads dividing the
 *             width; else at most as many as the teacher has, and the levers choose. With a width,
 *             heads are as wide as the teacher's, and neurons 4 times the width, where they are 0
 *   seed      of random numbers
 *   tensor    called for each of the student's tensors, in the order of the file, once it is
 *             written; or NULL
 *   user      what it is called with; levers have their own
 *
 * Groups of random linears stand side by side, without permutations.
 */
typedef struct sqz_student_options {
    sqz_squeeze_options levers;
    const char *random;
    uint32_t width, heads, neurons;
    uint64_t seed;
    void (*tensor)(void *user, const sqz_student_tensor *tensor);
    void *user;
    uint64_t reserved[4];
} sqz_student_options;

/* Read a teacher, write a student: vocabulary, prompts and labels are the teacher's.
 *
 * SQZ_EINVAL: what does not fit the teacher, or levers that leave no floats; the text has what
 * would. Else as sqz_squeeze, whose cost it has; random numbers cost 60 ns each. */
SQZ_API SQZ_NODISCARD sqz_status sqz_init_student(sqz_context *context, const char *teacher,
                                                  const char *out,
                                                  const sqz_student_options *options,
                                                  sqz_error *error);

#ifdef __cplusplus
}
#endif

#endif
