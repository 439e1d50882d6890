/* SPDX-License-Identifier: Apache-2.0 */
/* Making a model file smaller and faster. In libsqueezebert-full. */
#ifndef SQUEEZEBERT_SQUEEZE_H
#define SQUEEZEBERT_SQUEEZE_H

#include <squeezebert/tokenizer.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What weights become.
 *
 *   S8    matrices and embeddings int8, symmetric, one scale a row of the tensor (an output
 *         channel, a word): w = scale * q, q in [-127, 127], scale = max |w| / 127. Pooler, head,
 *         the table of token types, norms and biases stay as they are. A run then quantises its
 *         activations row by row (for grouped layers by row and group) and multiplies integers;
 *         softmax, norms, residuals, pooler and head are float, attention's products bf16 where the
 *         CPU multiplies it, else float.
 *   BF16  every matrix and table, to nearest even. A run rounds the inputs of its matrix products
 *         to bf16 as well and sums in f32.
 *   F16   every matrix and table, to nearest even: storage alone. Matrices are expanded, exactly,
 *         to f32 when the model is opened, embeddings as they are read; a run computes in f32.
 */
typedef enum sqz_quantize_type {
    SQZ_QUANTIZE_S8,
    SQZ_QUANTIZE_BF16,
    SQZ_QUANTIZE_F16,
    SQZ_QUANTIZE_S4,
    SQZ_QUANTIZE_S3
} sqz_quantize_type;

/* One tensor of the source and what it becomes.
 *
 *   name          valid during the call
 *   from, to      "F32", "F16", "BF16", "I8", static; equal where it stays as it is
 *   kept          it would have become `to` of its neighbours, but matches `keep`
 *   corrected     a bias that takes up its layer's rounding; one that the source lacks is reported
 *                 last, with bytes_before 0
 *   error         ‖w - w'‖ / ‖w‖ over the whole tensor; 0 where it stays, and of a bias
 *   bytes_after   with the scales of an int8 tensor, which are a tensor of their own in the file
 */
typedef struct sqz_quantized_tensor {
    const char *name, *from, *to;
    int kept, corrected;
    uint32_t n_dims;
    uint64_t shape[4]; /* slowest first */
    double error;
    uint64_t bytes_before, bytes_after;
} sqz_quantized_tensor;

/* Texts that were calibrated on, those of them that were cut at the model's max_length, and the
 * pieces of all. */
typedef struct sqz_calibration {
    uint32_t n_texts, n_cut, n_pieces;
} sqz_calibration;

/* Zero-initialise, or pass NULL, for int8 and silence.
 *
 *   keep     tensors whose name holds a match of this extended regular expression (POSIX) stay as
 *            they are; NULL: none
 *   no_bias_correction   int8: leave biases as they are
 *   texts    [n_texts] int8: texts of the kind that the model will read, to calibrate on; NULL:
 *            none. The first ones that reach 16,384 pieces are taken, cut at the model's
 *            max_length; some hundred sentences do. Not with no_bias_correction
 *   tensor   called once for every tensor but the reference vectors, in the order of the file,
 *            before anything is written
 *   progress   called with the layers calibrated on texts and their number, the embedding's
 *              included; other than 0 stops with SQZ_ECANCELLED. May be NULL
 *   calibrated called once with how many of the texts were used, before tensor. May be NULL
 *   user     what all of these are called with
 */
typedef struct sqz_quantize_options {
    sqz_quantize_type type;
    const char *keep;
    int no_bias_correction;
    void (*tensor)(void *user, const sqz_quantized_tensor *tensor);
    int (*progress)(void *user, size_t done, size_t total);
    void *user;
    const sqz_text *texts;
    size_t n_texts;
    void (*calibrated)(void *user, const sqz_calibration *used);
    uint64_t reserved[4];
} sqz_quantize_options;

/* Read a model file, write it with its weights in another type.
 *
 *   path   a float model file (F32, F16 and BF16 tensors)
 *   out    the file to write, whole or not at all, may be `path` itself; NULL: nothing is written,
 *          the tensors are reported all the same
 *
 * Int8 also corrects biases: b' = b + s (W - W') m for every linear of the blocks and the
 * embedding's, m the mean of its inputs when the float model runs on 32 sequences of 64 random ids
 * (always the same), s the mean's share of the inputs' squares. A linear without a bias gets one.
 * The context's kernels run it: the last bits of m, so of b', are those of its level.
 *
 * With texts, m is the mean over them, s = 1, and the integers of every such linear are not the
 * nearest to w / scale one by one: they are chosen in turn so that their errors cancel on what the
 * layer reads, those of later inputs making up for those of earlier ones (second moments of the
 * inputs, damped by a hundredth; the integers of GPTQ, Frantar et al. 2022). Then `error` of a
 * tensor grows and that of the model falls. Embeddings are rounded as ever.
 *
 * Metadata, tokenizer and labels are carried over; sqz.history gets a line, and general.name ends
 * with "-s8", "-bf16" or "-f16". Reference vectors keep their inputs; their results and tolerance
 * are made anew by the portable kernels on the new weights (doc/format.md), so that
 * sqz_model_verify works on the new file. A file without them gets none. The new file carries
 * checksums (sqz_model_check), and those of the source are compared first.
 * Cost: one pass over the weights for the source's checksums, one to report, another to write; one
 * more and a run of 2,048 tokens to correct biases; the new file is read again for its checksums,
 * and with reference vectors run once. SHA-256 takes some 4 s a GB.
 * Texts: a run of their tokens and, per block, products as long as that and a Cholesky factor of
 * each linear's inputs. Memory: the source opened as a
 * model, then the result; with texts also their hidden states, the moments of one block, and the
 * integers. The regular expression and a sort take theirs from the C library, all else comes from
 * the context's allocator.
 *
 * SQZ_EINVAL: `type` is none of the three, the texts have fewer than 2,048 pieces in all (empty
 * ones left out) or stand beside another type or no_bias_correction, `keep` is no regular
 * expression or matches no tensor that would change, or there is nothing to change.
 * SQZ_EUNSUPPORTED: the source holds int8 weights already. SQZ_ENUMERIC: a weight is NaN, infinite
 * or too large for the type; the text names tensor and index. SQZ_EFORMAT also: the source is not
 * what its checksums say. SQZ_EOUTPUT, SQZ_ERESOURCE: `out` cannot be written
 * (squeezebert/output.h). SQZ_EIO, SQZ_ELIMIT, SQZ_ENOMEM as sqz_model_open.
 * Maths: doc/model.md; measured in doc/results.md and doc/notebook/results.md.
 */
SQZ_API SQZ_NODISCARD sqz_status sqz_quantize(sqz_context *context, const char *path,
                                              const char *out, const sqz_quantize_options *options,
                                              sqz_error *error);

#ifdef __cplusplus
}
#endif

#endif
