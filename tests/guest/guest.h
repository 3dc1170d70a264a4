/* guest.h - between start.S and hello.c. */
#ifndef GUEST_H
#define GUEST_H
typedef unsigned char  u8;
typedef unsigned short u16;
typedef unsigned int   u32;
typedef unsigned long long u64;

/* What an interrupt pushes, and the common part of start.S below that: the lowest address first. */
struct frame {
	u32 edi, esi, ebp, esp_pusha, ebx, edx, ecx, eax;
	u32 vector, error;
	u32 eip, cs, eflags;
	u32 esp, ss;		/* only from ring 3 */
};

void kernel_main(u32 magic, const u32 *mbi);
void interrupt(struct frame *f);
/* start.S: entry points of vectors 0 to 48, and of vector 0x80. */
extern const u32 vector_entries[];
void enter_user(u32 eip, u32 esp);
extern u8 user_begin[], user_end[];
extern u8 kernel_stack_top[];
#endif
