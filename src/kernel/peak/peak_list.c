/* SPDX-License-Identifier: Apache-2.0 */
/* The loops of peak.h in one list, and the choice among them. */
#include "kernel/peak/peak.h"

#include "base/cpu.h"

#define PEAKS_OF_ALL(X) X(f32_portable) X(s8_portable)
#define READERS_OF_ALL(X) X(portable)
#if defined(__x86_64__)
#define PEAKS(X)                                                                                   \
    PEAKS_OF_ALL(X)                                                                                \
    X(f32_avx2) X(f32_avx512) X(bf16_avx512bf16) X(bf16_amx) X(s8_avx2) X(s8_avx512) X(s8_avxvnni) \
        X(s8_avx512vnni) X(s8_amx) X(s16_avx512vnni)
#define READERS(X) READERS_OF_ALL(X) X(avx2) X(avx512)
#elif defined(__aarch64__)
#define PEAKS(X) PEAKS_OF_ALL(X) X(f32_neon) X(bf16_armbf16) X(s8_neon) X(s8_dotprod) X(s8_i8mm)
#define READERS(X) READERS_OF_ALL(X)
#else
#define PEAKS(X) PEAKS_OF_ALL(X)
#define READERS(X) READERS_OF_ALL(X)
#endif

#define DECLARE_PEAK(name) extern const sqzk_peak sqzk_peak_##name;
#define DECLARE_READER(name) extern const sqzk_reader sqzk_reader_##name;
PEAKS(DECLARE_PEAK)
READERS(DECLARE_READER)

#define PEAK_ADDRESS(name) &sqzk_peak_##name,
#define READER_ADDRESS(name) &sqzk_reader_##name,
static const sqzk_peak *const peaks[] = {PEAKS(PEAK_ADDRESS)};
static const sqzk_reader *const readers[] = {READERS(READER_ADDRESS)};
enum { N_PEAKS = sizeof peaks / sizeof *peaks, N_READERS = sizeof readers / sizeof *readers };

const sqzk_peak *sqzk_peak_list(uint32_t i)
{
    return i < N_PEAKS ? peaks[i] : NULL;
}

const sqzk_reader *sqzk_reader_list(uint32_t i)
{
    return i < N_READERS ? readers[i] : NULL;
}

const sqzk_peak *sqzk_peak_best(sqzi_type type, uint32_t features)
{
    const sqzk_peak *found = NULL;
    for (uint32_t i = 0; i < N_PEAKS; i++)
        if (peaks[i]->type == type && (peaks[i]->feature & ~features) == 0) found = peaks[i];
    return found ? found : sqzk_peak_best(SQZI_F32, features);
}

const sqzk_reader *sqzk_reader_best(uint32_t features)
{
    const sqzk_reader *found = readers[0];
    for (uint32_t i = 0; i < N_READERS; i++)
        if ((readers[i]->feature & ~features) == 0) found = readers[i];
    return found;
}
