-- People change the keys of their LLM providers, and take them away.
GRANT UPDATE (base_url, api_key_encrypted, updated_at), DELETE ON provider_keys TO zaki_instance_manager;
