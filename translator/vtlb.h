/*
 * vtlb.h - layout of the flat-table virtual TLB that generated code indexes.
 *
 * An address space keeps two "halves", one for supervisor accesses (CPL 0 to 2) and one for user accesses (CPL 3).
 * A half is one lazily populated, zero-filled host mapping of VTLB_HALF_SIZE bytes:
 *
 *     0        read table     2^20 x 4 slots of 8 bytes, index = linear page * 4 + the address's low two bits
 *     32 MiB   write table    the same
 *     64 MiB   IBT            2^16 x 8 bytes, index = low 16 bits of EIP: host address of a block's indirect entry
 *     behind   IBT map        a bit for each 8 entries of the IBT: one of them may be filled
 *
 * Only slot 0 of a page is ever filled. So one PEXT makes an index that finds the page and, because slots 1 to 3 say 'slow path',
 * also tells a misaligned access, which may cross into the next page, from an aligned one, which cannot.
 *
 * An entry of the read or write table is (host address - linear address), or 0: take the slow path. So whatever the
 * monitor wants to see (MMIO, unset accessed or dirty bits, pages that hold translated code, dirty logging, watchpoints)
 * is simply kept out of the table. An IBT entry is never 0: empty ones hold the translator's `ibt_miss` stub.
 *
 * Translated code holds the address of the current half in one host register (regs.h: HOST_TABLE). The MMU owns the
 * read and write tables, the translator owns the IBT part (ibt.c) and is told of every half (tr_half_*).
 */
#ifndef RF_VTLB_H
#define RF_VTLB_H
#include "monitor/lib/types.h"

#define VTLB_ENTRIES   (1u << 20)
#define VTLB_SLOTS     4u
#define VTLB_READ      0u
#define VTLB_WRITE     (32u << 20)
#define VTLB_IBT       (64u << 20)
#define IBT_ENTRIES    (1u << 16)
#define VTLB_IBT_MAP   (VTLB_IBT + IBT_ENTRIES * 8u)
#define VTLB_HALF_SIZE (VTLB_IBT_MAP + PAGE_SIZE)

static inline u64 *vtlb_read_entry(u8 *half, u32 lin)  { return (u64 *)(half + VTLB_READ) + (lin >> PAGE_SHIFT) * VTLB_SLOTS; }
static inline u64 *vtlb_write_entry(u8 *half, u32 lin) { return (u64 *)(half + VTLB_WRITE) + (lin >> PAGE_SHIFT) * VTLB_SLOTS; }
#endif
