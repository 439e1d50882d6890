/* SPDX-License-Identifier: Apache-2.0 */
/* Making a model file smaller and faster. In libsqueezebert-full. */
#ifndef SQUEEZEBERT_SQUEEZE_H
#define SQUEEZEBERT_SQUEEZE_H

#include <squeezebert/model.h>

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
 *   S4    the tensors that S8 makes int8, in 4.125 bits a number, or 3.156: a scale a row, a
 *   S3    multiplier for each 32 numbers of it, a level of 16 or of 8 for each (doc/format.md
 *         "Packed rows"). Matrices expand, exactly, to int8 when the model is opened, tables as
 *         they are read: a run is that of an int8 model, in its memory but for the tables. MiniLM
 *         opens 3 ms later. How scales are chosen: src/squeeze/group_scales.h.
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
 *   from, to      "F32", "F16", "BF16", "I8", "S4", "S3", static; equal where it stays as it is
 *   kept          it would have become `to` of its neighbours, but matches `keep`
 *   corrected     a bias that takes up its layer's rounding; one that the source lacks is reported
 *                 last, with bytes_before 0
 *   error         ‖w - w'‖ / ‖w‖ over the whole tensor; 0 where it stays, and of a bias
 *   bytes_after   with the scales of a tensor of integers, which are one of their own in the file
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
 *   no_bias_correction   S8, S4, S3: leave biases as they are
 *   texts    [n_texts] S8, S4, S3: texts of the kind that the model will read, to calibrate on;
 *            NULL: none. The first ones that reach 16,384 pieces are taken, cut at the model's
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
 * Int8, S4 and S3 also correct biases: b' = b + s (W - W') m for every linear of the blocks and the
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
 * with "-s8", "-bf16", "-f16", "-s4" or "-s3". Reference vectors keep their inputs; their results
 * and tolerance are made anew by the portable kernels on the new weights (doc/format.md), so that
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
 * SQZ_EINVAL: `type` is none of the five, texts stand beside another type or no_bias_correction,
 * `keep` is no regular expression or matches no tensor that would change, or there is nothing to
 * change. SQZ_EUNSUPPORTED: the source holds weights of integers already. SQZ_ENUMERIC: a weight is
 * NaN, infinite or too large for the type; the text names tensor and index. SQZ_EFORMAT also: the
 * texts have fewer than 2,048 pieces in all (empty ones left out), or the source is not what its
 * checksums say. SQZ_EOUTPUT, SQZ_ERESOURCE: `out` cannot be written
 * (squeezebert/output.h). SQZ_EIO, SQZ_ELIMIT, SQZ_ENOMEM as sqz_model_open.
 * Maths: doc/model.md; measured in doc/results.md and doc/notebook/results.md.
 */
SQZ_API SQZ_NODISCARD sqz_status sqz_quantize(sqz_context *context, const char *path,
                                              const char *out, const sqz_quantize_options *options,
                                              sqz_error *error);

/* ---- smaller in form as well: squeezing ---- */

/* What becomes of the table of token embeddings [V, E], by `embedding_size`.
 *
 *   KEEP      its form stays; embedding_bits alone count
 *   WIDTH     k = embedding_size numbers a row and one matrix [E, k] that all rows share: the
 *             principal components of the rows, weighted by how often texts hold their pieces
 *   PRODUCT   M = embedding_size bytes a row, M dividing E: each is the number of one of 256
 *             centroids of E / M numbers (k-means, rows weighted by the power 0.75 of how often
 *             texts hold their pieces); embedding_bits must be 0
 */
typedef enum sqz_embedding_form {
    SQZ_EMBEDDING_KEEP,
    SQZ_EMBEDDING_WIDTH,
    SQZ_EMBEDDING_PRODUCT
} sqz_embedding_form;

/* A linear, or a table, and what became of it.
 *
 *   name         "blk.3.ffn_up" of the source's blocks, "token_embd"; valid during the call
 *   from, to     "1536x384 F32", "rank 96, int4", "removed": valid during the call
 *   error        how far its outputs on the calibration texts are off, root of mean squares over
 *                that of the outputs about their mean; of a table its numbers, a row weighted as it
 *                was fitted. 0 where nothing changes, NaN where it was not measured (no texts)
 *   bytes_before, bytes_after   with biases and scales
 */
typedef struct sqz_squeezed_part {
    const char *name, *from, *to;
    double error;
    uint64_t bytes_before, bytes_after;
} sqz_squeezed_part;

/* The whole.
 *
 *   bytes_before, bytes_after     of the files, exact; the second also where nothing is written
 *   n_texts, n_cut, n_pieces      calibrated on, as in sqz_calibration, n_texts sentences unless
 *                                 whole_texts; 0 without texts
 *   from_cache                    what layers read was found in options.cache
 *   cache_useless                 a file was there that did not fit or was damaged: made anew
 *   n_held_out                    texts that nothing was chosen on; 0: fidelity was not measured
 *   cosine, neighbours, classes   fidelity on those: mean cosine of the two models' vectors, mean
 *                                 share of each text's ten nearest others that stay among its ten
 *                                 nearest, share of texts that keep their class (NaN without one)
 *   pieces_before, pieces_after   of the vocabulary
 *   change, next_bytes            under a budget or time: 1 - mean cosine of the vectors, of all
 *                   blocks and tables as they were chosen, on texts behind those that were
 *                   calibrated on, where there are any (with rank or groups the sum of what each
 *                   choice changes alone); about the bytes that the next better choice takes, 0:
 *                   there is none, or time was asked for
 *   tokens_before, tokens_after   pieces of each second text of options.vocabulary by the whole
 *                   vocabulary, and by what the others of them alone would keep: what new texts of
 *                   that kind may cost; 0 without texts
 *   time_share, base_ms   where time was asked for: the forecast of options.time, from the table,
 *                   and the milliseconds that the base takes by it; else 0
 *   measured_share, measured_base_ms   the same of the new file and the base, which ran in turn;
 *                   0 where nothing is written
 *   times_cached    the table of times was found in options.cache
 *   scores_dropped  1: the model's temperature and threshold (model.h), which were found with its
 *                   logits, are not in the new file, whose logits are others; sqz_build_run with
 *                   keep_head finds new ones. A vocabulary alone leaves them as they are
 */
typedef struct sqz_squeeze_result {
    uint64_t bytes_before, bytes_after;
    uint32_t n_texts, n_cut, n_pieces;
    int from_cache, cache_useless;
    uint32_t n_held_out;
    double cosine, neighbours, classes;
    uint32_t pieces_before, pieces_after;
    double tokens_before, tokens_after;
    double change;
    uint64_t next_bytes;
    double time_share, base_ms, measured_share, measured_base_ms;
    int times_cached, scores_dropped;
} sqz_squeeze_result;

/* Zero-initialise; at least one lever must be set. Levers are taken in the order in which they
 * stand here, each on what the ones before it left.
 *
 *   vocabulary [n_vocabulary]   pieces that these texts do not need leave, with their rows: words
 *                   that held them are spelt by others, in the end by single characters, so that
 *                   nothing becomes unknown that was known
 *   drop_impossible pieces that no text can ever be cut into leave; every text gives the same bits
 *   layers [n_layers]   the blocks that stay, ascending from 0; NULL: all. Or, without a list,
 *   layers_first    so many of the first ones; or
 *   layers_every    blocks 0, k, 2 k and so on of k = layers_every; both 0: all
 *   heads           share of each block's attention heads that stays, in (0, 1]; 0: all. At least
 *                   one; those go whose work the others take up best on the texts (second order),
 *                   and the output's weights are fitted again
 *   neurons         share of each block's feed-forward neurons that stays, in (0, 1]; 0: all; the
 *                   same way, in multiples of 32
 *   groups          > 1: each linear of the blocks becomes block diagonal in so many groups, its
 *                   inputs and outputs permuted so that what matters lies in them; 0, 1: not
 *   dense_output    groups, of which there are some, leave attn_output whole, as SqueezeBERT
 *                   has it
 *   rank            share f of a linear's parameters that two factors hold, in (0, 1): W [m, n]
 *                   becomes B [m, r] A [r, n], r = max(8, f m n / (m + n)), nearest on what the
 *                   layer reads; 1 or 0: not. Of a layer that has groups each gets such factors, m
 *                   and n its own. With groups: a term beside them, for what they leave
 *   ranks           ranks by hand: "ffn_up=96,2.ffn_down=64", a linear's name, alone for all blocks
 *                   or behind the source's number of one; the last that fits counts, 0: whole. NULL
 *   embedding, embedding_size   see above
 *   embedding_bits, position_bits   of the tables: 8, 4, 3, 2; 32: as they are; 0: 8 where `bits`
 *                   is set, else as they are. To nearest; a factor [E, k] is int8 with `bits`
 *   bits            of the blocks' linears and the embedding's projection: 8, 4, 3; 0: f32. Chosen
 *                   so that errors cancel on what a layer reads (GPTQ, see sqz_quantize). Pooler,
 *                   head and layers behind the pooling become int8, to nearest; a masked LM's own
 *                   decoder stays
 *   keep_pooler     a pooler that neither the head nor the pooling of embeddings reads stays; else
 *                   it leaves, and only who asks for that pooling misses it
 *
 *   plain           the textbook's form of each lever, to compare with: no text has a say in ranks
 *                   (singular values), groups, rounding (to nearest) and embeddings (every row
 *                   alike), neurons and heads go by magnitude, nothing is fitted again and no bias
 *                   corrected. Texts are then for fidelity, and for the variance of neurons
 *   budget          0, or bytes that the new file may have at most, everything in it counted: what
 *                   the levers above do not name is chosen, so that the model's vectors change
 *                   least (squeeze bits, words, positions, neurons, heads, layers: doc/squeezing.md
 *                   "Budget"). Needs texts; not with plain
 *   time            0, or the share, in (0, 1], of the base's time that the new model may take:
 *                   heads, neurons and blocks that no lever names are chosen so that the vectors
 *                   change least; with a budget, bits, words and positions as well, within both;
 *                   without one these stay as the levers have them. The base is the model as it
 *                   is, no lever taken, in the type that the new model's blocks run in: quantised
 *                   to int8 (SQZ_QUANTIZE_S8) with a budget or bits, for int4 and int3 run as
 *                   int8; else in f32. Both run from token ids to logits, or to vectors where the
 *                   model has no head, on the context's kernels and threads. What blocks of fewer
 *                   heads and neurons take is measured on this machine: some seconds, kept in
 *                   `cache`. So another machine, or a busy one, may choose otherwise. Needs texts;
 *                   not with plain
 *   at_batch, at_length   sequences and tokens of each that time is measured at; 0: 1 and 128, or
 *                   as many tokens as the model reads. Only with time
 *   static_width    0, or, with an empty list of layers, the numbers of a row of a static table,
 *                   at most the dimensions of the model's vectors (the program takes 256, or these
 *                   where they are fewer): a model whose vector of a text is the direction of the
 *                   mean of its pieces' rows, which learn the vectors that the model has of the
 *                   texts' sentences, up to 2^21 pieces of them (doc/squeezing.md "The static
 *                   end"). Prompts, head and what is behind the pooling leave. bits are then the
 *                   table's, where embedding_bits are 0. Goes with vocabulary, drop_impossible,
 *                   product quantisation and bits alone. Needs texts and LAPACK
 *
 *   depth           0, or blocks that stay under a budget or a time; which, is chosen
 *
 *   texts [n_texts] of the kind that the model will read, in any number. Every tenth different
 *                   text, at most 1,000, is held out to measure fidelity, as it was given. What
 *                   layers read is gathered on the sentences of the others, the first of each, then
 *                   the second of each and so on, until they reach 32,768 pieces. NULL only with
 *                   `plain`, or where no lever but layers and the vocabulary is set
 *   whole_texts     what layers read is gathered on the texts as they were given, in their order:
 *                   for models that read nothing but long ones. Not with levers that ask nothing
 *                   of it
 *   cache           NULL, or a folder that is there: what layers read is kept in a file in it, and
 *                   found again for the same model, texts, layers and kernels; one that is damaged
 *                   or of something else is made anew. So are times, for the same CPU, kernels,
 *                   threads, shapes, type, batch and length. Not with levers that ask nothing of
 *                   what layers read
 *   no_fidelity     do not measure it
 *
 *   part            called for each linear and table once all is chosen, in the order of the model
 *   progress        as in sqz_quantize_options
 *   result          called once at the end, when the file has its name; not where anything failed
 */
typedef struct sqz_squeeze_options {
    const sqz_text *vocabulary;
    size_t n_vocabulary;
    int drop_impossible;
    const uint32_t *layers;
    size_t n_layers;
    double heads, neurons, rank;
    uint32_t groups;
    const char *ranks;
    sqz_embedding_form embedding;
    uint32_t embedding_size, embedding_bits, position_bits, bits;
    int keep_pooler, plain, whole_texts, dense_output;
    uint64_t budget;
    const sqz_text *texts;
    size_t n_texts;
    const char *cache;
    int no_fidelity;
    void (*part)(void *user, const sqz_squeezed_part *part);
    int (*progress)(void *user, size_t done, size_t total);
    void (*result)(void *user, const sqz_squeeze_result *result);
    void *user;
    uint32_t layers_first, layers_every;
    double time;
    uint32_t at_batch, at_length, static_width, depth;
    uint64_t reserved[1];
} sqz_squeeze_options;

/* Read a model file, write a smaller one: no training, no labels, no gradient.
 *
 *   path   a model whose weights are F32, F16 or BF16; anything that they become is f32 unless a
 *          lever stores it in fewer bits
 *   out    as in sqz_quantize; NULL: nothing is written and fidelity is not measured; parts and
 *          bytes are those of the file that would be
 *
 * Biases take up what a lever does to a layer's mean output. A model that is squeezed runs in
 * every function of this library, is verified, exported, and says in its metadata what was done
 * (sqz.history) and how near it is (doc/format.md "Fidelity").
 *
 * Cost: the model runs over 32,768 pieces, and products as long as that make the covariances; per
 * linear a Cholesky factor or eigenvectors of its inputs; fidelity runs the held-out texts through
 * both models. MiniLM-L6 takes half a minute of one core. Memory: the weights as f32 twice, the
 * covariances of all layers' inputs in f32 and one layer's in f64.
 *
 * SQZ_EINVAL: no lever, one that does not fit the model or another, or that there is nothing for
 * (of blocks where none stays, dense_output without groups, whole_texts that nothing reads); texts
 * are missing, a budget or time cannot be met: the text has the number that would do, error.offset
 * the bytes, or UINT64_MAX where it is the time that no plan meets; a budget below what every part
 * at its smallest takes is refused before the model runs. SQZ_EFORMAT also: texts are too few, the
 * text has how many would do. SQZ_EUNSUPPORTED: the source has int8 weights or product-quantised
 * embeddings; a lever needs LAPACK, and this build is without it or its shared libraries (loaded
 * then, for the rest of the process) cannot be loaded: the text says which and what to install.
 * SQZ_ENUMERIC: a weight or an input is not finite. SQZ_ECANCELLED, and else as sqz_quantize.
 */
SQZ_API SQZ_NODISCARD sqz_status sqz_squeeze(sqz_context *context, const char *path,
                                             const char *out, const sqz_squeeze_options *options,
                                             sqz_error *error);

/* How near a model is to another one on texts, as sqz_squeeze_result has it: cosine, neighbours and
 * classes of texts [n], with the standard errors of the
 * means. Cost: both models on the texts, and n^2 dimensions multiply-adds twice. Where vectors have
 * two dimensions there is no cosine: it and its error are NaN.
 * SQZ_EINVAL: fewer than 11 texts. SQZ_ENOMEM; what a text fails
 * with, its number in error.offset. */
typedef struct sqz_likeness {
    uint32_t n;
    double cosine, neighbours, classes;
    double cosine_error, neighbours_error;
} sqz_likeness;
SQZ_API SQZ_NODISCARD sqz_status sqz_compare_models(const sqz_model *from, const sqz_model *to,
                                                    const sqz_text *texts, size_t n,
                                                    sqz_likeness *likeness, sqz_error *error);

#ifdef __cplusplus
}
#endif

#endif
