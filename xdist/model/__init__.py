"""Any Hugging Face encoder, and a head per task on its hidden states."""
