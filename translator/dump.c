/*
 * dump.c - --dump=tc: guest and host code side by side, by the disassembler library where it is there, else as bytes.
 */
#include "translator/tr.h"
#ifdef HAVE_CAPSTONE
#include <capstone/capstone.h>
#endif

static void dump_host(FILE *out, const u8 *p, u32 len)
{
#ifdef HAVE_CAPSTONE
	csh h;
	cs_insn *insn;
	size_t n;

	if (cs_open(CS_ARCH_X86, CS_MODE_64, &h) != CS_ERR_OK)
		return;
	n = cs_disasm(h, p, len, (u64)(uintptr_t)p, 0, &insn);
	for (size_t k = 0; k < n; k++)
		fprintf(out, "      %12llx  %-7s %s\n", (unsigned long long)insn[k].address, insn[k].mnemonic, insn[k].op_str);
	if (n)
		cs_free(insn, n);
	cs_close(&h);
#else
	for (u32 k = 0; k < len; k++)
		fprintf(out, "%s%02x%s", k % 24 ? "" : "      ", p[k], k % 24 == 23 || k == len - 1 ? "\n" : " ");
#endif
}

u32 tr_disas(const u8 *bytes, u32 len, u64 eip, bool is_32, FILE *out)
{
	u32 n = 1;
#ifdef HAVE_CAPSTONE
	csh h;
	cs_insn *insn;

	if (cs_open(CS_ARCH_X86, is_32 ? CS_MODE_32 : CS_MODE_16, &h) != CS_ERR_OK)
		return n;
	if (cs_disasm(h, bytes, len, eip, 1, &insn) == 1) {
		n = insn->size;
		fprintf(out, "  %08llx  %-7s %s\n", (unsigned long long)insn->address, insn->mnemonic, insn->op_str);
		cs_free(insn, 1);
	} else {
		fprintf(out, "  %08llx  (bad)\n", (unsigned long long)eip);
	}
	cs_close(&h);
#else
	fprintf(out, "  %08llx  %02x ..\n", (unsigned long long)eip, bytes[0]);
#endif
	return n;
}

static void dump_blk(struct translator *tr, FILE *out, const struct blk *b)
{
	gpa_t gpa;
	const u8 *bytes = tr->ops->fetch(tr->cs, (u32)(b->eip + (b->mode & MK_CS_ODD ? tr->cs->seg[S_CS].base : 0)), &gpa, true);

	fprintf(out, "block %08llx gpa %llx mode %07x: %u instructions, %u guest bytes, %u host bytes at %p\n", (unsigned long long)b->eip,
		(unsigned long long)b->gpa, b->mode, b->ninsns, b->len + b->len2, b->host_len, (void *)b->host);
	if (!bytes || gpa != b->gpa)
		bytes = NULL;
	dump_host(out, b->host, b->map[0].host_off);
	for (u32 k = 0; k < b->nmap; k++) {
		u32 end = k + 1 < b->nmap ? b->map[k + 1].host_off : b->host_len;

		if (bytes && !b->len2)
			tr_disas(bytes + b->map[k].guest_off, b->len - b->map[k].guest_off, b->eip + b->map[k].guest_off, b->mode & MK_CS32, out);
		else
			fprintf(out, "  %08llx\n", (unsigned long long)b->eip + b->map[k].guest_off);
		dump_host(out, b->host + b->map[k].host_off, end - b->map[k].host_off);
	}
}

void tr_dump(struct translator *tr, FILE *out, u64 lo, u64 hi)
{
	for (int u = 0; u < TR_UNITS; u++)
		for (u32 k = 0; k < tr->unit[u].n; k++) {
			const struct blk *b = tr->unit[u].blks[k];

			if (!b->dead && b->eip >= lo && b->eip <= hi)
				dump_blk(tr, out, b);
		}
}

u32 tr_list(const struct translator *tr, FILE *out, u64 lo, u64 hi, u32 most)
{
	u32 count = 0;

	for (int u = 0; u < TR_UNITS; u++)
		for (u32 k = 0; k < tr->unit[u].n; k++) {
			const struct blk *b = tr->unit[u].blks[k];

			if (b->dead || b->eip < lo || b->eip > hi || count++ >= most)
				continue;
			fprintf(out, "%08llx physical %08llx mode %07x: %u instructions, %u bytes, %u host bytes\n", (unsigned long long)b->eip,
				(unsigned long long)b->gpa, b->mode, b->ninsns, b->len + b->len2, b->host_len);
		}
	return count;
}
