/*
 * vtlb.h - layout of the flat-table virtual TLB that generated code indexes.
 *
 * An address space keeps two "halves", one for supervisor accesses (CPL 0 to 2) and one for user accesses (CPL 3).
 * A half is one lazily populated, zero-filled host mapping of VTLB_HALF_SIZE bytes:
 *
 *     0        read table     2^20 x 4 slots of 8 bytes, index = linear page * 4 + the address's low two bits
 *     32 MiB   write table    the same
 *     64 MiB   IBT            2^16 x 8 bytes, index = ibt_index(EIP): host address of a block's indirect entry
 *     behind   IBT map        a bit for each 8 entries of the IBT: one of them may be filled
 *
 * Only slot 0 of a page is ever filled. So one PEXT makes an index that finds the page and, because slots 1 to 3 say 'slow path',
 * also tells a misaligned access, which may cross into the next page, from an aligned one, which cannot.
 *
 * An entry of the read or write table is (host address - linear address), or 0: take the slow path. So whatever the
 * monitor wants to see (MMIO, unset accessed or dirty bits, pages that hold translated code, dirty logging, watchpoints)
 * is simply kept out of the table. An IBT entry is never 0: empty ones hold the translator's `ibt_miss` stub.
 *
 * 64-bit guests: linear addresses are too many for a flat table, so a half of such an address space begins with two hashed tables
 * instead, direct-mapped by the low 12 bits of the page number:
 *
 *     0        read table     4096 entries: u64 tag, u64 delta
 *     64 KiB   write table    the same
 *
 * A tag is the linear page's address, negated: tag + address of the access's last byte is below 4096 exactly if that byte lies in the
 * page. The entry is chosen by the first byte, so an access that crosses into the next page never matches. An empty entry's tag
 * names a page that belongs to another entry, far away (a zero-filled table would know page 0).
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

#define VTLB_LONG_ENTRIES 4096u
#define VTLB_LONG_READ    0u
#define VTLB_LONG_WRITE   (VTLB_LONG_ENTRIES * 16u)
#define VTLB_LONG_INDEX   ((VTLB_LONG_ENTRIES - 1) << PAGE_SHIFT)	/* the bits of an address that choose the entry */

struct vtlb_entry { u64 tag, delta; };

/* table: VTLB_LONG_READ or VTLB_LONG_WRITE */
static inline struct vtlb_entry *vtlb_long_entry(u8 *half, u32 table, gla_t lin)
{
	return (struct vtlb_entry *)(half + table) + (lin >> PAGE_SHIFT) % VTLB_LONG_ENTRIES;
}

static inline void vtlb_long_set(u8 *half, u32 table, gla_t lin, u64 delta)
{
	*vtlb_long_entry(half, table, lin) = (struct vtlb_entry){ -(lin & ~(gla_t)PAGE_MASK), delta };
}

/* The page's entry, or whatever page's stands in its place, becomes empty. */
static inline void vtlb_long_clear(u8 *half, u32 table, gla_t lin)
{
	vtlb_long_entry(half, table, lin)->tag = -((lin & VTLB_LONG_INDEX) ^ (u64)VTLB_LONG_ENTRIES / 2 << PAGE_SHIFT);
}

static inline void vtlb_long_flush(u8 *half)
{
	for (u32 k = 0; k < VTLB_LONG_ENTRIES; k++) {
		vtlb_long_clear(half, VTLB_LONG_READ, (gla_t)k << PAGE_SHIFT);
		vtlb_long_clear(half, VTLB_LONG_WRITE, (gla_t)k << PAGE_SHIFT);
	}
}

static inline u64 *vtlb_read_entry(u8 *half, u32 lin)  { return (u64 *)(half + VTLB_READ) + (lin >> PAGE_SHIFT) * VTLB_SLOTS; }
static inline u64 *vtlb_write_entry(u8 *half, u32 lin) { return (u64 *)(half + VTLB_WRITE) + (lin >> PAGE_SHIFT) * VTLB_SLOTS; }

/*
 * Adding the page number spreads functions, which begin at multiples of 16, over all of the table. EIPs of one page stay neighbours,
 * and EIPs less than 64 KiB - 16 apart never share an index.
 */
static inline u32 ibt_index(u64 eip) { return (u32)(eip + (eip >> PAGE_SHIFT)) & (IBT_ENTRIES - 1); }
#endif
