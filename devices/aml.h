/*
 * aml.h - writes ACPI Machine Language and resource descriptors (ACPI 1.0b, chapters 6.4 and 16), byte after byte.
 *
 * Things with a body are opened and closed: `u32 at = aml_open(a, AML_DEVICE); aml_name(a, "COM1"); ... aml_close(a, at);`
 */
#ifndef RF_AML_H
#define RF_AML_H
#include "monitor/lib/types.h"

#define AML_MAX 16384u
struct aml {
	u8 bytes[AML_MAX];
	u32 len;
};

/* Opcodes with a package length: two-byte ones have the extension prefix 5Bh in bits 15-8. */
enum aml_op { AML_SCOPE = 0x10, AML_BUFFER = 0x11, AML_PACKAGE = 0x12, AML_METHOD = 0x14, AML_IF = 0xa0, AML_ELSE = 0xa1,
	AML_DEVICE = 0x5b82, AML_FIELD = 0x5b81, AML_PROCESSOR = 0x5b83 };
u32  aml_open(struct aml *a, enum aml_op op);
void aml_close(struct aml *a, u32 at);

void aml_bytes(struct aml *a, const void *bytes, u32 len);
void aml_byte(struct aml *a, u8 byte);
/* A path: "\\_SB_.PCI0", "LNKA"; segments shorter than four characters are filled up with underscores. */
void aml_name(struct aml *a, const char *path);
void aml_int(struct aml *a, u32 value);
void aml_string(struct aml *a, const char *s);
/* Name (name, ...): the object follows. */
void aml_named(struct aml *a, const char *name);
void aml_named_int(struct aml *a, const char *name, u32 value);
/* Name (_HID, EisaId (id)), as "PNP0501". */
void aml_hid(struct aml *a, const char *id);
/* Device (name) { Name (_HID, EisaId (id)); what follows belongs to it until aml_close(). */
u32  aml_device(struct aml *a, const char *name, const char *id);
/* Method (name, args, serialized); what follows is its body. */
u32  aml_method(struct aml *a, const char *name, u8 args, bool serialized);

/* A resource template, to be closed with aml_resources_end(); in between descriptors. */
struct aml_resources { u32 buffer, length_at, first; };
struct aml_resources aml_resources(struct aml *a);
void aml_resources_end(struct aml *a, struct aml_resources r);
void aml_io(struct aml *a, u16 first, u8 count);		/* 16-bit decode */
void aml_irq(struct aml *a, int irq);				/* edge, exclusive */
void aml_dma(struct aml *a, int channel);			/* 8 bit, no bus master */
void aml_interrupts(struct aml *a, const u32 *irq, u8 count);	/* level, active high, shared, consumer */
void aml_memory(struct aml *a, u32 base, u32 len, bool writable);
/* Producers of a bridge: bus numbers, ports, memory from first to last. */
void aml_bus_window(struct aml *a, u16 first, u16 last);
void aml_io_window(struct aml *a, u16 first, u16 last);
void aml_memory_window(struct aml *a, u32 first, u32 last, bool cacheable);
#endif
