/* SPDX-License-Identifier: Apache-2.0 */
/* Reading a file of weights to its last number: what the harnesses of safetensors and of PyTorch's
 * archives share. */
#ifndef SQZT_WEIGHTS_H
#define SQZT_WEIGHTS_H

#include "fuzz/fuzz.h"

/* Put the input into a folder as `name`, read the folder's weights and touch every number of every
 * tensor at its place. */
void sqzt_fuzz_weights(const char *name, const uint8_t *data, size_t n);

#endif
