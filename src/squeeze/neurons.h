/* SPDX-License-Identifier: Apache-2.0 */
/* Levers: feed-forward neurons and attention heads of a block removed, what is left refitted on
 * what the second linear reads (removal.h).
 *
 *   neurons   ffn_up loses rows (and their biases), ffn_down the columns that read them
 *   heads     attn_q, attn_k and attn_v lose the D rows of a head, attn_output its D columns
 *
 * ffn_down or attn_output gets new weights and a new bias (one where there was none); its damped
 * covariance is the inputs' plus SQZI_REMOVAL_DAMPING of its mean variance on the diagonal.
 *
 * The linears must be one whole term each, without permutations: these levers come before rank and
 * groups. Grouped ones (SqueezeBERT's) lose equally many in every group: then the count that is
 * kept is a multiple of sqzi_removal.multiple. Kernels run at full speed on widths that are
 * multiples of SQZI_NEURONS_MULTIPLE (and 4-bit rows have groups as wide): whoever chooses counts
 * takes multiples of it, nothing here asks for them.
 */
#ifndef SQZI_NEURONS_H
#define SQZI_NEURONS_H

#include "squeeze/statistics.h"
#include "squeeze/weights.h"

enum { SQZI_NEURONS_MULTIPLE = 32 };
#define SQZI_REMOVAL_DAMPING 1e-3

typedef enum sqzi_removed { SQZI_REMOVE_NEURONS, SQZI_REMOVE_HEADS } sqzi_removed;

/* A block's neurons or heads in the order in which they go. */
typedef struct sqzi_removal {
    const sqz_allocator *allocator;
    uint32_t n_units, unit; /* inputs of a unit: 1, or D */
    uint32_t multiple;      /* counts that can be kept: multiples of this, and not 0 */
    uint32_t *order;        /* [n_units] */
    double *loss;           /* [n_units] relative error when order[0 .. i] are gone: squared, of the
                             * block's ffn_down or attn_output, over that of its centred output */
} sqzi_removal;

/* `input`: SQZI_INPUT_FFN_DOWN or SQZI_INPUT_ATTN_OUTPUT of that block. `plain`: the order of
 * |w_j|^2 var(x_j), and no loss (each is NaN).
 * SQZ_EUNSUPPORTED: a linear has another form; the text names it. SQZ_ENUMERIC, SQZ_ENOMEM. Discard
 * in any case. */
SQZ_NODISCARD sqz_status sqzi_removal_make(const sqzi_weights *weights, uint32_t block,
                                           sqzi_removed what, bool plain,
                                           const sqzi_input_statistics *input,
                                           sqzi_removal *removal, sqz_error *error);
void sqzi_removal_discard(sqzi_removal *removal);

/* The relative error of keeping so many; 0 for all. */
double sqzi_removal_error(const sqzi_removal *removal, uint32_t keep);

/* Remove all but `keep` units of a block.
 *
 *   removal   made of these weights, or NULL: made here
 *   plain     the baseline: by |w_j|^2 var(x_j), weights and bias stay as they are
 *   kept      [inputs there were] or NULL: the inputs of ffn_down or attn_output that stay,
 *             ascending, as many as there are units times their width: what is left of the
 *             statistics of that input (sqzi_input_statistics_kept)
 *   lost      or NULL: relative error of the output, squared, undamped
 *
 * Everything kept: nothing changes, lost is 0.
 * SQZ_EINVAL: keep is 0, more than there are, or not a multiple of removal.multiple; the text has
 * the count that would do. SQZ_EUNSUPPORTED, SQZ_ENUMERIC, SQZ_ENOMEM: nothing has changed. */
typedef struct sqzi_remove_options {
    uint32_t keep;
    bool plain;
    const sqzi_removal *removal;
} sqzi_remove_options;
SQZ_NODISCARD sqz_status sqzi_squeeze_neurons(sqzi_weights *weights, uint32_t block,
                                              const sqzi_input_statistics *input,
                                              const sqzi_remove_options *options, uint32_t *kept,
                                              double *lost, sqz_error *error);
SQZ_NODISCARD sqz_status sqzi_squeeze_heads(sqzi_weights *weights, uint32_t block,
                                            const sqzi_input_statistics *input,
                                            const sqzi_remove_options *options, uint32_t *kept,
                                            double *lost, sqz_error *error);

#endif
