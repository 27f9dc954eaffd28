/*
 * developer.h
 *	  Switches that show a test to bite: each takes one protection away.
 *
 * Built with -DBERT_DEVELOPER (make DEVELOPER=1) the setting bert.without lists the
 * protections to leave out, and tests/tap/ shows that the failure they guard against
 * then happens. In an ordinary build there is no such setting and the switches are
 * constants. bert.fault names a kernel to break, see faults.h; it has effect where
 * bert.without takes the helper away, which would notice.
 */
#ifndef BERT_DEVELOPER_H
#define BERT_DEVELOPER_H

typedef enum BertProtection
{
	BERT_SIGNAL_GUARD = 1 << 0,  /* handlers restored, signals blocked in threads */
	BERT_HELPER = 1 << 1,        /* compile outside of the backend */
	BERT_ENVIRONMENT = 1 << 2,   /* PATH for a driver that runs a linker */
	BERT_PRIVATE_CACHE = 1 << 3, /* POCL_CACHE_DIR */
	BERT_PREFLIGHT = 1 << 4,     /* free space and writability looked at before */
	BERT_DRAIN = 1 << 5,         /* wait for the device before the process ends */
	BERT_INTERRUPTS = 1 << 6,    /* small portions, interrupts looked at between */
	BERT_LAZY_OPEN = 1 << 7,     /* nothing in the postmaster */
	BERT_TRIM = 1 << 8           /* memory given back after an error */
} BertProtection;

#if defined(BERT_DEVELOPER) && !defined(FRONTEND)
extern int bert_without;         /* set of BertProtection */
extern char *bert_fault_setting; /* bert.fault; "": none */
#define BERT_WITHOUT(protection) ((bert_without & (protection)) != 0)
#else
#define BERT_WITHOUT(protection) false
#endif

#endif /* BERT_DEVELOPER_H */
