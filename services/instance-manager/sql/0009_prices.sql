-- What a provider that a person brought asks for a million tokens, in millionths of a dollar: what its
-- use costs is counted with it. NULL: it costs nothing, as far as is known.
ALTER TABLE provider_keys
	ADD COLUMN input_price_micros bigint CHECK (input_price_micros >= 0),
	ADD COLUMN output_price_micros bigint CHECK (output_price_micros >= 0);

GRANT UPDATE (input_price_micros, output_price_micros) ON provider_keys TO zaki_instance_manager;

-- The month whose reached limit was told to those who may write, so that they are told once.
ALTER TABLE spend_limits ADD COLUMN told_month date;

GRANT UPDATE (told_month) ON spend_limits TO zaki_instance_manager;
