-- Database, roles and rights of the suite; run by a superuser (or a role with CREATEROLE and CREATEDB),
-- repeatable. Each role's password verifier comes in as the psql variable ROLE_verifier.
--
-- zaki_owner             runs the migrations and owns all tables
-- zaki_auth              the auth service
-- zaki_instance_manager  the instance-manager
-- zaki_storage_backup    the storage-backup
--
-- The services own nothing and can create nothing; each migration grants what its service needs.

SELECT format('CREATE ROLE %I', name)
  FROM unnest(ARRAY['zaki_owner', 'zaki_auth', 'zaki_instance_manager', 'zaki_storage_backup']) AS name
 WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name)
\gexec

ALTER ROLE zaki_owner            LOGIN NOCREATEDB NOCREATEROLE NOINHERIT PASSWORD :'zaki_owner_verifier';
ALTER ROLE zaki_auth             LOGIN NOCREATEDB NOCREATEROLE NOINHERIT PASSWORD :'zaki_auth_verifier';
ALTER ROLE zaki_instance_manager LOGIN NOCREATEDB NOCREATEROLE NOINHERIT PASSWORD :'zaki_instance_manager_verifier';
ALTER ROLE zaki_storage_backup   LOGIN NOCREATEDB NOCREATEROLE NOINHERIT PASSWORD :'zaki_storage_backup_verifier';

SELECT 'CREATE DATABASE zaki OWNER zaki_owner'
 WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = 'zaki')
\gexec

-- Nobody comes in by being PUBLIC, and a service can't make even a temporary table.
REVOKE ALL ON DATABASE zaki FROM PUBLIC;
REVOKE ALL ON DATABASE zaki FROM zaki_auth, zaki_instance_manager, zaki_storage_backup;
GRANT CONNECT ON DATABASE zaki TO zaki_auth, zaki_instance_manager, zaki_storage_backup;

-- The cluster's other databases hold nothing for these roles. On a server that is not ours alone
-- (DATABASE_URL) that is not our business.
\if :{?foreign_server}
\else
REVOKE CONNECT ON DATABASE postgres, template1 FROM PUBLIC;
\endif

\connect zaki
ALTER SCHEMA public OWNER TO zaki_owner;
REVOKE ALL ON SCHEMA public FROM PUBLIC;
REVOKE ALL ON SCHEMA public FROM zaki_auth, zaki_instance_manager, zaki_storage_backup;
GRANT USAGE ON SCHEMA public TO zaki_auth, zaki_instance_manager, zaki_storage_backup;
-- A function is executable by PUBLIC unless said otherwise.
ALTER DEFAULT PRIVILEGES FOR ROLE zaki_owner IN SCHEMA public REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;
